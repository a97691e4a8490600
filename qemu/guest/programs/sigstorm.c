/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sigstorm: sends itself signals as fast as the kernel delivers them; an interval is not regarded.
 * Every byte of xmm[i], i < 8, is 0xa0 | i.
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

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	long pid = syscall4(NR_getpid, 0, 0, 0, 0);
	unsigned int i, j;

	for (i = 0; i < XMM_COUNT; i++)
		for (j = 0; j < XMM_SIZE; j++)
			pattern[i][j] = 0xa0 | i;
	install_handler("sigstorm", SIGUSR1, count_own_signal);
	__asm__ volatile(LOAD_LOW_XMM
		"1:	mov	$62, %%eax\n"	/* kill(pid, SIGUSR1) */
		"	mov	%[pid], %%rdi\n"
		"	mov	%[signo], %%esi\n"
		"	syscall\n"
		"	mov	%[limit], %%rax\n"
		"	cmp	%%rax, (%[count])\n"
		"	jb	1b\n"
		STORE_LOW_XMM
		:: [from] "r"(pattern), [to] "r"(held), [count] "r"(&count),
		   [limit] "r"(request.limit), [pid] "r"(pid), [signo] "i"(SIGUSR1)
		: "rax", "rcx", "rdi", "rsi", "r11", "memory", "cc");
	announce("sigstorm", pid, count, same(pattern, held, sizeof(held)));
	return 0;
}
