/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sigstorm: sends itself signals as fast as the kernel delivers them; an interval is not regarded.
 * Every byte of xmm[i], i < 8, is 0xa0 | i.
 */
#include "storm.h"
#include "xmm.h"

static unsigned char pattern[XMM_COUNT][XMM_SIZE], held[XMM_COUNT][XMM_SIZE];

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	long pid = syscall4(NR_getpid, 0, 0, 0, 0);
	unsigned int i, j;

	for (i = 0; i < XMM_COUNT; i++)
		for (j = 0; j < XMM_SIZE; j++)
			pattern[i][j] = 0xa0 | i;
	install_handler("sigstorm", SIGUSR1, count_own_signal);
	STORM(LOAD_LOW_XMM, "", STORE_LOW_XMM, pattern, held, pid, request.limit);
	announce("sigstorm", pid, own_signals, same(pattern, held, sizeof(held)));
	return 0;
}
