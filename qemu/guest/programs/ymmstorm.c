/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ymmstorm: sends itself signals as fast as the kernel delivers them; an interval is not regarded.
 * Its registers are those of ymmall, and between two signals it uses them without a change: so a
 * kernel that switches lazily has loaded them when it delivers a signal.
 */
#include "storm.h"
#include "ymm.h"

static unsigned char pattern[YMM_COUNT][YMM_SIZE], held[YMM_COUNT][YMM_SIZE];

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	long pid = syscall4(NR_getpid, 0, 0, 0, 0);
	unsigned int i, j;

	for (i = 0; i < YMM_COUNT; i++)
		for (j = 0; j < YMM_SIZE; j++)
			pattern[i][j] = (i << 4 | (j & 15)) ^ (j >= 16 ? 0xff : 0);
	install_handler("ymmstorm", SIGUSR1, count_own_signal);
	STORM(LOAD_ALL_YMM, "vandps %%ymm0, %%ymm0, %%ymm0", STORE_ALL_YMM,
	      pattern, held, pid, request.limit);
	announce("ymmstorm", pid, own_signals, same(pattern, held, sizeof(held)));
	return 0;
}
