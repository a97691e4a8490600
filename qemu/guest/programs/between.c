/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * between: each byte of xmm[i], i < 8, is 0xc0 | i while it runs, which it does all the time: its
 * signals come between any two instructions.  Its handler sleeps, with initial registers, so that
 * what the kernel has in memory of it is most often the handler's.
 */
#include "signals.h"
#include "xmm.h"

#define UC_SIGMASK (296 / sizeof(long))	/* of a struct ucontext, in words */

static unsigned char pattern[XMM_COUNT][XMM_SIZE], held[XMM_COUNT][XMM_SIZE];
static unsigned long limit;

static void sleep_in_handler(int signo, struct siginfo_timer *info, unsigned long *context)
{
	struct timespec pause = { 0, 500000 };

	(void)signo;
	syscall4(NR_nanosleep, (long)&pause, 0, 0, 0);
	if (*info->count + 1 >= limit)	/* the last one: no other follows */
		context[UC_SIGMASK] |= alarm_blocked[0];
	++*info->count;
}

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	static volatile unsigned long count;
	unsigned int i, j;

	limit = request.limit;
	for (i = 0; i < XMM_COUNT; i++)
		for (j = 0; j < XMM_SIZE; j++)
			pattern[i][j] = 0xc0 | i;
	start_timer("between", &count, request.interval_ms);
	install_handler("between", SIGALRM, sleep_in_handler);
	__asm__ volatile(LOAD_LOW_XMM
		"	mov	$14, %%eax\n"		/* rt_sigprocmask(SIG_UNBLOCK, ...) */
		"	mov	$1, %%edi\n"
		"	mov	%[mask], %%rsi\n"
		"	xor	%%edx, %%edx\n"
		"	mov	$8, %%r10d\n"
		"	syscall\n"
		"	mov	%[limit], %%rax\n"
		"1:	pause\n"
		"	cmp	%%rax, (%[count])\n"
		"	jb	1b\n"
		STORE_LOW_XMM
		:: [from] "r"(pattern), [to] "r"(held), [count] "r"(&count), [limit] "r"(limit),
		   [mask] "r"(alarm_blocked)
		: "rax", "rcx", "rdx", "rdi", "rsi", "r10", "r11", "memory", "cc");
	announce("between", syscall4(NR_gettid, 0, 0, 0, 0), count,
		 same(pattern, held, sizeof(held)));
	return 0;
}
