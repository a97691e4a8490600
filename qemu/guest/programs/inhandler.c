/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inhandler: its signal handler alone loads registers: each byte of xmm[i], i < 8, is 0xd0 | i.
 * The kernel gives a handler initial registers, and throws away what they hold when it returns.
 */
#include "signals.h"
#include "xmm.h"

static unsigned char pattern[XMM_COUNT][XMM_SIZE], held[XMM_COUNT][XMM_SIZE];
static int corrupt;

static void load_in_handler(int signo, struct siginfo_timer *info, void *context)
{
	(void)signo, (void)context;
	__asm__ volatile(LOAD_LOW_XMM STORE_LOW_XMM
			 :: [from] "r"(pattern), [to] "r"(held) : "memory");
	corrupt |= !same(pattern, held, sizeof(held));
	++*info->count;
}

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	static volatile unsigned long count;
	unsigned int i, j;

	for (i = 0; i < XMM_COUNT; i++)
		for (j = 0; j < XMM_SIZE; j++)
			pattern[i][j] = 0xd0 | i;
	start_timer("inhandler", &count, request.interval_ms);
	install_handler("inhandler", SIGALRM, load_in_handler);
	HOLD("", "", 0ul, 0ul, &count, request.limit);
	announce("inhandler", syscall4(NR_gettid, 0, 0, 0, 0), count, !corrupt);
	return 0;
}
