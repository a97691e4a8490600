/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Taking an exact number of signals while registers hold a pattern: a program waits for its signals
 * in rt_sigsuspend(2) and keeps SIGALRM blocked everywhere else.  Each delivery interrupts exactly
 * one rt_sigsuspend and is counted, and none follows the last one.
 */
#ifndef SIGNALS_H
#define SIGNALS_H

#include "guest.h"

#define ENOSYS 38
#define SIGALRM 14

struct action {
	void *handler;
	unsigned long flags;
	void *restorer;
	unsigned long mask[8 / sizeof(long)];
};

struct event {
	unsigned long value;
	int signo;
	int notify;
	int thread;
	int padding[12];
};

struct siginfo_timer {
	int head[sizeof(long) == 8 ? 4 : 3];
	int timer, overrun;
	volatile unsigned long *count;
};

#define SA_SIGINFO 4ul
#define SA_RESTORER 0x04000000ul
#define SIGEV_THREAD_ID 4
#define CLOCK_MONOTONIC 1
#define SIG_BLOCK 0

static const unsigned long nothing_blocked[8 / sizeof(long)];
static const unsigned long alarm_blocked[8 / sizeof(long)] = { 1ul << (SIGALRM - 1) };

void restorer(void);
#ifdef __x86_64__
__asm__(".globl restorer\nrestorer: mov $15, %eax\n\tsyscall\n");
#else
__asm__(".globl restorer\nrestorer: mov $173, %eax\n\tint $0x80\n");
#endif

/* The handler's whole work: the timer's si_value is the address of the task's counter. */
static void count_signal(int signo, struct siginfo_timer *info, void *context)
{
	(void)signo, (void)context;
	++*info->count;
}

static inline void install_handler(const char *name, int signo, void *handler)
{
	static struct action action;
	unsigned int word;

	action.handler = handler;
	action.flags = SA_SIGINFO | SA_RESTORER;
	action.restorer = restorer;
	for (word = 0; word < 8 / sizeof(long); word++)
		action.mask[word] = ~0ul;
	if (syscall4(NR_rt_sigaction, signo, (long)&action, 0, 8))
		fail(name, "rt_sigaction");
}

static inline long set_timer(int timer, const struct timespec periods[2])
{
#ifdef __x86_64__
	return syscall4(NR_timer_settime, timer, 0, (long)periods, 0);
#else
	/* Which of the two a kernel has: up to 5.0 the old one, later the old one as an option. */
	int narrow[4] = { periods[0].seconds, periods[0].nanoseconds,
			  periods[1].seconds, periods[1].nanoseconds };
	long result = syscall4(NR_timer_settime64, timer, 0, (long)periods, 0);

	return result != -ENOSYS ? result : syscall4(NR_timer_settime, timer, 0, (long)narrow, 0);
#endif
}

/* Block SIGALRM in this thread, then let a timer raise it every interval_ms, counted in *count. */
static inline void start_timer(const char *name, volatile unsigned long *count,
			       unsigned long interval_ms)
{
	struct timespec periods[2] = { milliseconds(interval_ms), milliseconds(interval_ms) };
	struct event event;
	int timer;

	event.value = (unsigned long)count;
	event.signo = SIGALRM;
	event.notify = SIGEV_THREAD_ID;
	event.thread = syscall4(NR_gettid, 0, 0, 0, 0);
	if (syscall4(NR_rt_sigprocmask, SIG_BLOCK, (long)alarm_blocked, 0, 8))
		fail(name, "rt_sigprocmask");
	install_handler(name, SIGALRM, count_signal);
	if (syscall4(NR_timer_create, CLOCK_MONOTONIC, (long)&event, (long)&timer, 0))
		fail(name, "timer_create");
	if (set_timer(timer, periods))
		fail(name, "timer_settime");
}

/*
 * Execute LOAD (assembly that loads registers from %[from]), sleep in rt_sigsuspend until `limit`
 * signals were counted, then STORE (assembly that stores them to %[to]): one block, in which
 * nothing but the kernel can change a register that LOAD has set.
 */
#ifdef __x86_64__
#define HOLD(LOAD, STORE, source, target, counter, limit_)				\
	__asm__ volatile(LOAD								\
		"1:	mov	$130, %%eax\n"	/* rt_sigsuspend(nothing_blocked, 8) */	\
		"	mov	%[mask], %%rdi\n"					\
		"	mov	$8, %%esi\n"						\
		"	syscall\n"							\
		"	mov	%[limit], %%rax\n"					\
		"	cmp	%%rax, (%[count])\n"					\
		"	jb	1b\n"							\
		STORE									\
		:: [from] "r"(source), [to] "r"(target), [count] "r"(counter),		\
		   [limit] "r"(limit_), [mask] "r"(nothing_blocked)			\
		: "rax", "rcx", "rdi", "rsi", "r11", "memory", "cc")
#else
#define HOLD(LOAD, STORE, source, target, counter, limit_)				\
	__asm__ volatile(LOAD								\
		"1:	mov	$179, %%eax\n"	/* rt_sigsuspend(nothing_blocked, 8) */	\
		"	push	%%ecx\n"						\
		"	mov	$8, %%ecx\n"						\
		"	int	$0x80\n"						\
		"	pop	%%ecx\n"						\
		"	mov	%[limit], %%eax\n"					\
		"	cmp	%%eax, (%%ecx)\n"					\
		"	jb	1b\n"							\
		STORE									\
		:: [from] "S"(source), [to] "D"(target), "c"(counter),			\
		   [limit] "d"(limit_), "b"(nothing_blocked)				\
		: "eax", "memory", "cc")
#endif

#endif
