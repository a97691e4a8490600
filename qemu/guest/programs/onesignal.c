/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * onesignal: forks as many children as it is told signals, one after another, each of which sends
 * itself one signal and ends.  Every second one, beginning with the second, has 0x90 | i in each
 * byte of xmm[i], i < 8; the others never touch the FPU.  The parent takes no signal.
 * Each child has a line: guest: onesignal pid= loaded=0|1 signals=1 ok
 */
#include "signals.h"
#include "xmm.h"

static unsigned char pattern[XMM_COUNT][XMM_SIZE], held[XMM_COUNT][XMM_SIZE];
static volatile unsigned long count;

static void count_own_signal(int signo)
{
	(void)signo;
	++count;
}

static _Noreturn void live(unsigned long loaded)
{
	long pid = syscall4(NR_getpid, 0, 0, 0, 0);
	struct line line;

	if (loaded)
		__asm__ volatile(LOAD_LOW_XMM
			"	syscall\n"
			STORE_LOW_XMM
			:: [from] "r"(pattern), [to] "r"(held), "a"(NR_kill), "D"(pid), "S"(SIGUSR1)
			: "rcx", "r11", "memory");
	else
		syscall4(NR_kill, pid, SIGUSR1, 0, 0);
	begin(&line, "onesignal");
	put_field(&line, "pid", pid);
	put_field(&line, "loaded", loaded);
	put_field(&line, "signals", count);
	put_verdict(&line, !loaded || same(pattern, held, sizeof(held)));
	quit(0);
}

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	struct timespec pause = milliseconds(request.interval_ms);
	unsigned long n;
	unsigned int i, j;

	for (i = 0; i < XMM_COUNT; i++)
		for (j = 0; j < XMM_SIZE; j++)
			pattern[i][j] = 0x90 | i;
	install_handler("onesignal", SIGUSR1, count_own_signal);
	for (n = 0; n < request.limit; n++) {
		long child = syscall4(NR_fork, 0, 0, 0, 0);

		if (!child)
			live(n % 2);
		if (child < 0 || syscall4(NR_wait4, child, 0, 0, 0) != child)
			fail("onesignal", "fork");
		syscall4(NR_nanosleep, (long)&pause, 0, 0, 0);
	}
	return 0;
}
