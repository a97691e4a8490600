/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * longago: loads all sixteen ymm once, before its first signal (byte j of ymm[i] is
 * 0x3c ^ i << 4 ^ j), and brings all registers back to their initial state.
 */
#include "signals.h"
#include "initial.h"
#include "ymm.h"

static unsigned char pattern[YMM_COUNT][YMM_SIZE], held[YMM_COUNT][YMM_SIZE];

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	static volatile unsigned long count;
	unsigned int i, j;

	for (i = 0; i < YMM_COUNT; i++)
		for (j = 0; j < YMM_SIZE; j++)
			pattern[i][j] = 0x3c ^ i << 4 ^ j;
	__asm__ volatile(LOAD_ALL_YMM STORE_ALL_YMM :: [from] "r"(pattern), [to] "r"(held) : "memory");
	make_initial();
	start_timer("longago", &count, request.interval_ms);
	HOLD("", "", 0ul, 0ul, &count, request.limit);
	announce("longago", syscall4(NR_gettid, 0, 0, 0, 0), count,
		 same(pattern, held, sizeof(pattern)));
	return 0;
}
