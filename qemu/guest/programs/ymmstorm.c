/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ymmstorm: sends itself signals as fast as the kernel delivers them; an interval is not regarded.
 * Its registers are those of ymmall, and between two signals it uses them without a change: so a
 * kernel that switches lazily has loaded them when it delivers a signal.
 */
#include "signals.h"
#include "ymm.h"

static unsigned char pattern[YMM_COUNT][YMM_SIZE], held[YMM_COUNT][YMM_SIZE];
static volatile unsigned long count;

static void count_own_signal(int signo)
{
	(void)signo;
	++count;
}

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	long pid = syscall4(NR_getpid, 0, 0, 0, 0);
	unsigned int i, j;

	for (i = 0; i < YMM_COUNT; i++)
		for (j = 0; j < YMM_SIZE; j++)
			pattern[i][j] = (i << 4 | (j & 15)) ^ (j >= 16 ? 0xff : 0);
	install_handler("ymmstorm", SIGUSR1, count_own_signal);
	__asm__ volatile(LOAD_ALL_YMM
		"1:	vandps	%%ymm0, %%ymm0, %%ymm0\n"
		"	mov	$62, %%eax\n"	/* kill(pid, SIGUSR1) */
		"	mov	%[pid], %%rdi\n"
		"	mov	%[signo], %%esi\n"
		"	syscall\n"
		"	mov	%[limit], %%rax\n"
		"	cmp	%%rax, (%[count])\n"
		"	jb	1b\n"
		STORE_ALL_YMM
		:: [from] "r"(pattern), [to] "r"(held), [count] "r"(&count),
		   [limit] "r"(request.limit), [pid] "r"(pid), [signo] "i"(SIGUSR1)
		: "rax", "rcx", "rdi", "rsi", "r11", "memory", "cc");
	announce("ymmstorm", pid, count, same(pattern, held, sizeof(held)));
	return 0;
}
