/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sleepers: `sleepers N` forks N children that sleep until they are killed, for walks over many
 * tasks.  Every second one, beginning with the second, has 0xb0 | i in every byte of xmm[i], i < 8;
 * the others never touch the FPU.  One line once all are there: guest: sleepers pid= tasks=N ok
 */
#include "signals.h"
#include "xmm.h"

static unsigned char pattern[XMM_COUNT][XMM_SIZE];

static _Noreturn void sleep_for_ever(int loaded)
{
	if (loaded)
		__asm__ volatile(LOAD_LOW_XMM :: [from] "r"(pattern));
	for (;;)
		syscall4(NR_rt_sigsuspend, (long)nothing_blocked, 8, 0, 0);
}

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	struct line line;
	unsigned long n;
	unsigned int i, j;

	for (i = 0; i < XMM_COUNT; i++)
		for (j = 0; j < XMM_SIZE; j++)
			pattern[i][j] = 0xb0 | i;
	for (n = 0; n < request.limit; n++) {
		long child = syscall4(NR_fork, 0, 0, 0, 0);

		if (!child)
			sleep_for_ever(n % 2);
		if (child < 0)
			fail("sleepers", "fork");
	}
	begin(&line, "sleepers");
	put_field(&line, "pid", syscall4(NR_getpid, 0, 0, 0, 0));
	put_field(&line, "tasks", n);
	put_verdict(&line, 1);
	sleep_for_ever(0);
}
