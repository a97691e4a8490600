/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * onereg: four threads of one process, of which one, thread 2, has one register: the first eight
 * bytes of xmm11 are 0x0b.  The others never touch the FPU.
 * One line each, in which pid is the thread's: guest: onereg pid= tgid= thread=k signals= ok
 */
#include "signals.h"
#include "threads.h"

#define LOADED 2

static struct thread {
	unsigned int index;
	struct request request;
	volatile unsigned long count;
	unsigned long held;
	unsigned char stack[STACK_SIZE] __attribute__((aligned(16)));
} threads[THREADS];
static const unsigned long pattern = 0x0b0b0b0b0b0b0b0b;
static int unfinished = THREADS;

static void take_signals(struct thread *thread)
{
	struct line line;

	start_timer("onereg", &thread->count, thread->request.interval_ms);
	if (thread->index == LOADED)
		HOLD("	movq	(%[from]), %%xmm11\n", "	movq	%%xmm11, (%[to])\n",
		     &pattern, &thread->held, &thread->count, thread->request.limit);
	else
		HOLD("", "", 0ul, 0ul, &thread->count, thread->request.limit);
	begin(&line, "onereg");
	put_field(&line, "pid", syscall4(NR_gettid, 0, 0, 0, 0));
	put_field(&line, "tgid", syscall4(NR_getpid, 0, 0, 0, 0));
	put_field(&line, "thread", thread->index);
	put_field(&line, "signals", thread->count);
	put_verdict(&line, thread->index != LOADED || thread->held == pattern);
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
		spawn("onereg", thread_main, &threads[k], threads[k].stack + STACK_SIZE);
	take_signals(&threads[0]);
	while (__atomic_load_n(&unfinished, __ATOMIC_SEQ_CST))
		syscall4(NR_nanosleep, (long)&pause, 0, 0, 0);
	return 0;
}
