/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * avxthreads: four threads of one process, the first thread among them, each with a timer and a
 * pattern of its own: in thread k byte j of ymm[i] is 64 * k + 33 * i + 5 * j modulo 256.
 * One line each, in which pid is the thread's: guest: avxthreads pid= tgid= thread=k signals= ok
 */
#include "signals.h"
#include "threads.h"
#include "ymm.h"

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

static void thread_main(void *thread)
{
	take_signals(thread);
	end_thread();
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
		spawn("avxthreads", thread_main, &threads[k], threads[k].stack + STACK_SIZE);
	take_signals(&threads[0]);
	while (__atomic_load_n(&unfinished, __ATOMIC_SEQ_CST))
		syscall4(NR_nanosleep, (long)&pause, 0, 0, 0);
	return 0;
}
