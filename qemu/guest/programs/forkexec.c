/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * forkexec: forks a child that executes this program anew, waits for it, and so on: N generations,
 * each of which loads its pattern, sends itself one signal and checks the pattern.  The first
 * process takes no signal.  Its line counts the generations, and their signals, that went well:
 * guest: forkexec pid= generations= signals= ok.  Every byte of xmm[i], i < 8, is 0xf0 | i.
 */
#include "signals.h"
#include "xmm.h"

#define SUCCESS 0
#define CORRUPT 3

static unsigned char pattern[XMM_COUNT][XMM_SIZE], held[XMM_COUNT][XMM_SIZE];
static volatile unsigned long count;

static void count_own_signal(int signo)
{
	(void)signo;
	++count;
}

static int live_one_generation(void)
{
	unsigned int i, j;

	for (i = 0; i < XMM_COUNT; i++)
		for (j = 0; j < XMM_SIZE; j++)
			pattern[i][j] = 0xf0 | i;
	install_handler("forkexec", SIGUSR1, count_own_signal);
	__asm__ volatile(LOAD_LOW_XMM
		"	syscall\n"
		STORE_LOW_XMM
		:: [from] "r"(pattern), [to] "r"(held), "a"(NR_kill),
		   "D"(syscall4(NR_getpid, 0, 0, 0, 0)), "S"(SIGUSR1)
		: "rcx", "r11", "memory");
	return count == 1 && same(pattern, held, sizeof(held)) ? SUCCESS : CORRUPT;
}

/* Execute this program by its own name, which becomes the task's. */
static _Noreturn void become_generation(void)
{
	static char *arguments[] = { "forkexec", "generation", 0 }, *environment[] = { 0 };
	static char path[256];	/* the last byte stays zero */

	syscall4(NR_readlink, (long)"/proc/self/exe", (long)path, sizeof(path) - 1, 0);
	syscall4(NR_execve, (long)path, (long)arguments, (long)environment, 0);
	fail("forkexec", "execve");
}

/* Run one generation to its end; returns whether it took its signal and kept its registers. */
static int raise_generation(void)
{
	long child = syscall4(NR_fork, 0, 0, 0, 0);
	int status;

	if (!child)
		become_generation();
	if (child < 0 || syscall4(NR_wait4, child, (long)&status, 0, 0) != child)
		fail("forkexec", "fork");
	return status == SUCCESS;
}

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	struct timespec pause = milliseconds(request.interval_ms);
	unsigned long generations, signals = 0;
	struct line line;

	if (argc == 2 && same(argv[1], "generation", 11))
		return live_one_generation();
	for (generations = 0; generations < request.limit; generations++) {
		signals += raise_generation();
		syscall4(NR_nanosleep, (long)&pause, 0, 0, 0);
	}
	begin(&line, "forkexec");
	put_field(&line, "pid", syscall4(NR_getpid, 0, 0, 0, 0));
	put_field(&line, "generations", generations);
	put_field(&line, "signals", signals);
	put_verdict(&line, signals == generations);
	return 0;
}
