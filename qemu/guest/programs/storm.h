/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sending oneself signals as fast as the kernel delivers them while registers hold a pattern. USE is
 * executed before each signal.
 */
#ifndef STORM_H
#define STORM_H

#include "signals.h"

static volatile unsigned long own_signals;

static void count_own_signal(int signo)
{
	(void)signo;
	++own_signals;
}

#define STORM(LOAD, USE, STORE, source, target, self, limit_)				\
	__asm__ volatile(LOAD								\
		"1:	" USE "\n"							\
		"	mov	$62, %%eax\n"	/* kill(self, SIGUSR1) */		\
		"	mov	%[pid], %%rdi\n"						\
		"	mov	%[signo], %%esi\n"						\
		"	syscall\n"							\
		"	mov	%[limit], %%rax\n"					\
		"	cmp	%%rax, (%[count])\n"					\
		"	jb	1b\n"							\
		STORE									\
		:: [from] "r"(source), [to] "r"(target), [count] "r"(&own_signals),	\
		   [limit] "r"(limit_), [pid] "r"(self), [signo] "i"(SIGUSR1)		\
		: "rax", "rcx", "rdi", "rsi", "r11", "memory", "cc")

#endif
