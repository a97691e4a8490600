/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ymmall: byte j of ymm[i] is (i << 4) | (j & 15), in the upper half (j >= 16) XOR 0xff. */
#include "signals.h"
#include "ymm.h"

static unsigned char pattern[YMM_COUNT][YMM_SIZE], held[YMM_COUNT][YMM_SIZE];

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	static volatile unsigned long count;
	unsigned int i, j;

	for (i = 0; i < YMM_COUNT; i++)
		for (j = 0; j < YMM_SIZE; j++)
			pattern[i][j] = (i << 4 | (j & 15)) ^ (j >= 16 ? 0xff : 0);
	start_timer("ymmall", &count, request.interval_ms);
	HOLD(LOAD_ALL_YMM, STORE_ALL_YMM, pattern, held, &count, request.limit);
	announce("ymmall", syscall4(NR_gettid, 0, 0, 0, 0), count,
		 same(pattern, held, sizeof(pattern)));
	return 0;
}
