/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * avxthreads: four threads of one process, the first thread among them, each with a timer and a
 * pattern of its own: in thread k byte j of ymm[i] is 64 * k + 33 * i + 5 * j modulo 256.
 * One line each, in which pid is the thread's: guest: avxthreads pid= tgid= thread=k signals= ok
 */
#include "signals.h"
#include "ymm.h"

#define THREADS 4
#define STACK_SIZE 16384
#define CLONE_THREAD_FLAGS 0x50f00	/* VM, FS, FILES, SIGHAND, THREAD, SYSVSEM */

static struct thread {
	unsigned int index;
	struct request request;
	volatile unsigned long count;
	unsigned char pattern[YMM_COUNT][YMM_SIZE], held[YMM_COUNT][YMM_SIZE];
	unsigned char stack[STACK_SIZE] __attribute__((aligned(16)));
} threads[THREADS];
static int unfinished = THREADS;

static void announce_thread(struct thread *thread)
{
	struct line line;

	begin(&line, "avxthreads");
	put_field(&line, "pid", syscall4(NR_gettid, 0, 0, 0, 0));
	put_field(&line, "tgid", syscall4(NR_getpid, 0, 0, 0, 0));
	put_field(&line, "thread", thread->index);
	put_field(&line, "signals", thread->count);
	put_verdict(&line, same(thread->pattern, thread->held, sizeof(thread->held)));
}

static void take_signals(struct thread *thread)
{
	unsigned int i, j;

	for (i = 0; i < YMM_COUNT; i++)
		for (j = 0; j < YMM_SIZE; j++)
			thread->pattern[i][j] = 64 * thread->index + 33 * i + 5 * j;
	start_timer("avxthreads", &thread->count, thread->request.interval_ms);
	HOLD(LOAD_ALL_YMM, STORE_ALL_YMM, thread->pattern, thread->held, &thread->count,
	     thread->request.limit);
	announce_thread(thread);
	__atomic_sub_fetch(&unfinished, 1, __ATOMIC_SEQ_CST);
}

static void thread_main(struct thread *thread)
{
	take_signals(thread);
	for (;;)
		syscall4(NR_exit, 0, 0, 0, 0);
}

static void spawn(struct thread *thread)
{
	long result;
	register void (*entry)(struct thread *) __asm__("r12") = thread_main;
	register struct thread *argument __asm__("r13") = thread;

	__asm__ volatile(
		"	xor	%%edx, %%edx\n"
		"	xor	%%r10d, %%r10d\n"
		"	xor	%%r8d, %%r8d\n"
		"	syscall\n"
		"	test	%%rax, %%rax\n"
		"	jnz	1f\n"
		"	mov	%[argument], %%rdi\n"
		"	call	*%[entry]\n"
		"1:\n"
		: "=a"(result)
		: "a"(NR_clone), "D"(CLONE_THREAD_FLAGS), "S"(thread->stack + STACK_SIZE),
		  [entry] "r"(entry), [argument] "r"(argument)
		: "rcx", "rdx", "r8", "r10", "r11", "memory", "cc");
	if (result < 0)
		fail("avxthreads", "clone");
}

int run(int argc, char **argv)
{
	struct timespec pause = milliseconds(DEFAULT_INTERVAL_MS);
	unsigned int k;

	for (k = 0; k < THREADS; k++) {
		threads[k].index = k;
		threads[k].request = parse(argc, argv);
	}
	for (k = 1; k < THREADS; k++)
		spawn(&threads[k]);
	take_signals(&threads[0]);
	while (__atomic_load_n(&unfinished, __ATOMIC_SEQ_CST))
		syscall4(NR_nanosleep, (long)&pause, 0, 0, 0);
	return 0;
}
