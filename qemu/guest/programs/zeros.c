/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * zeros: loads all sixteen ymm with zero, which is what they begin with.  Its values cannot be told
 * from the initial state; what can is that it executed an FPU instruction at all.
 */
#include "signals.h"
#include "ymm.h"

static const unsigned char pattern[YMM_COUNT][YMM_SIZE];
static unsigned char held[YMM_COUNT][YMM_SIZE];

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	static volatile unsigned long count;

	start_timer("zeros", &count, request.interval_ms);
	HOLD(LOAD_ALL_YMM, STORE_ALL_YMM, pattern, held, &count, request.limit);
	announce("zeros", syscall4(NR_gettid, 0, 0, 0, 0), count,
		 same(pattern, held, sizeof(pattern)));
	return 0;
}
