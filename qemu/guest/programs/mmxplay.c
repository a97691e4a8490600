/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mmxplay: mm[i] is the byte (0x11 * i + 3) & 0xff eight times; never executes EMMS. */
#include "signals.h"

#define MMX_COUNT 8

#define EACH_MMX(OP) OP(0) OP(1) OP(2) OP(3) OP(4) OP(5) OP(6) OP(7)
#define LOAD_MMX(i) "	movq	8*" #i "(%[from]), %%mm" #i "\n"
#define STORE_MMX(i) "	movq	%%mm" #i ", 8*" #i "(%[to])\n"

static unsigned char pattern[MMX_COUNT][8], held[MMX_COUNT][8];

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	static volatile unsigned long count;
	unsigned int i, j;

	for (i = 0; i < MMX_COUNT; i++)
		for (j = 0; j < 8; j++)
			pattern[i][j] = 0x11 * i + 3;
	start_timer("mmxplay", &count, request.interval_ms);
	HOLD(EACH_MMX(LOAD_MMX), EACH_MMX(STORE_MMX), pattern, held, &count, request.limit);
	announce("mmxplay", syscall4(NR_gettid, 0, 0, 0, 0), count,
		 same(pattern, held, sizeof(pattern)));
	return 0;
}
