// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A process that delivers signals as Linux 4.4.60 does, as far as the FPU goes: the functions
 * have the kernel's names and call each other in its order. A thread of the process is a CPU;
 * its GS base is that CPU's per-CPU area. It counts what it did and checks what it was given.
 *
 * usage: kernel44 lazy|eager replay          the deliveries of golden.h, on two CPUs
 *        kernel44 lazy|eager others          deliveries to the other tasks, on one
 *        kernel44 lazy|eager storm T N       T CPUs deliver N signals each, all at once
 *        kernel44 lazy|eager torn            5 deliveries, 5 with current_task torn, 5 more
 *        kernel44 lazy|eager loop N US       N deliveries, US microseconds apart
 *        kernel44 lazy|eager eclipsed        replay, below a frame whose locals eclipse symbols
 */
#include <asm/prctl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel44.h"

_Static_assert(offsetof(struct task_struct, thread.fpu) == GOLDEN_FPU, "fpu");

#define noinline __attribute__((noinline, noipa))
#define inlined inline __attribute__((always_inline))
#define DEADLINE 120 /* seconds that the process may live */
#define FRAME_SIZE 0x344 /* what the real kernel passed */
#define INTONLY 34
#define EVIL 35
#define AVXTHREADS 36

struct ksignal {
	int sig;
};

static struct task_struct tasks[MAX_TASKS];
static struct signal_struct signals[MAX_TASKS];
static int nr_tasks;
static bool eager;

static __thread struct task_struct **this_cpu_current;
static __thread struct task_struct *me; /* whom the signal goes to */
static __thread unsigned char frame[sizeof(union fpregs_state)];
static __thread unsigned char expected[sizeof(union fpregs_state)];

static unsigned long copies, sanitized, wrong;

static void count(unsigned long *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
}

static inlined unsigned char flag(const volatile unsigned char *place)
{
	return *place;
}

#ifdef INLINED_AT_ENTRY /* with -fomit-frame-pointer the first instruction is flag()'s */
noinline void fpstate_sanitize_xstate(struct fpu *fpu)
{
	unsigned char active = flag(&fpu->fpregs_active);

	asm volatile("xchg %%ax, %%ax" : : "r"(active));
	sanitized++;
}
#else
noinline void fpstate_sanitize_xstate(struct fpu *fpu)
{
	count(&sanitized);
	if (fpu != &me->thread.fpu || fpu->fpregs_active)
		count(&wrong);
}
#endif

noinline int copy_fpstate_to_sigframe(void *buf, void *buf_fx, int size)
{
	struct fpu *fpu = &me->thread.fpu;

	count(&copies);
	if (buf != frame || buf_fx != frame || size != FRAME_SIZE)
		count(&wrong);
	if (!fpu->fpregs_active)
		fpstate_sanitize_xstate(fpu);
	memcpy(buf_fx, &fpu->state, sizeof(fpu->state));
	return 0;
}

static inlined int get_sigframe(struct fpu *fpu)
{
	return fpu->fpstate_active ? copy_fpstate_to_sigframe(frame, frame, FRAME_SIZE) : 0;
}

noinline int __setup_rt_frame(int sig)
{
	return get_sigframe(&me->thread.fpu) + (sig == 0);
}

static inlined int setup_rt_frame(struct ksignal *ksig)
{
	return __setup_rt_frame(ksig->sig);
}

noinline void handle_signal(struct ksignal *ksig)
{
	if (setup_rt_frame(ksig))
		count(&wrong);
}

noinline void do_signal(void)
{
	struct ksignal ksig = { 14 };

	handle_signal(&ksig);
}

noinline void exit_to_usermode_loop(void)
{
	do_signal();
}

noinline void prepare_exit_to_usermode(void)
{
	exit_to_usermode_loop();
}

noinline void syscall_return_slowpath(void)
{
	prepare_exit_to_usermode();
}

noinline void entry_SYSCALL_64(void)
{
	syscall_return_slowpath();
}

/* Deliver a signal to `task`, which `shown` names in current_task; check the frame made. */
static void deliver_as(struct task_struct *task, struct task_struct *shown)
{
	memset(frame, 0, sizeof(frame));
	memset(expected, 0, sizeof(expected));
	if (task->thread.fpu.fpstate_active)
		memcpy(expected, &task->thread.fpu.state, sizeof(expected));
	me = task;
	*this_cpu_current = shown;
	entry_SYSCALL_64();
	*this_cpu_current = &init_task;
	if (memcmp(frame, expected, sizeof(expected)))
		count(&wrong);
}

static void deliver(struct task_struct *task)
{
	deliver_as(task, task);
}

static struct task_struct *find(int pid)
{
	for (int i = 0; i < nr_tasks; i++)
		if (tasks[i].pid == pid)
			return &tasks[i];
	abort();
}

static struct task_struct *add_task(const char *comm, int pid, int tgid)
{
	struct task_struct *task = &tasks[nr_tasks];

	strncpy(task->comm, comm, sizeof(task->comm));
	task->pid = pid;
	task->tgid = tgid;
	initial_state(&task->thread.fpu.state);
	if (eager) { /* every task is active, and emulated CPUs set every bit at a save */
		task->thread.fpu.fpstate_active = task->thread.fpu.fpregs_active = 1;
		task->thread.fpu.state.xsave.header.xfeatures = GOLDEN_XFEATURES_MASK;
	}
	if (pid == tgid) {
		init_process(task, &signals[nr_tasks]);
		list_add_tail(&task->tasks, &init_task.tasks);
	} else {
		task->signal = find(tgid)->signal;
		list_add_tail(&task->thread_node, &task->signal->thread_head);
	}
	nr_tasks++;
	return task;
}

static void set_state(struct task_struct *task, const unsigned char *fpu)
{
	memcpy(&task->thread.fpu, fpu, GOLDEN_FPU_BYTES);
	if (eager)
		task->thread.fpu.fpregs_active = 1;
}

static void make_tasks(void)
{
	add_task("init", 1, 1);
	add_task("kthreadd", 2, 2)->flags = PF_KTHREAD;
	for (unsigned int i = 0; i < GOLDEN_PROGRAMS; i++)
		set_state(add_task(golden_programs[i].comm, golden_programs[i].pid,
				   golden_programs[i].tgid), golden_programs[i].fpu);
	add_task("intonly", INTONLY, INTONLY);
	/* ESC [ 3 1 m, a letter, invalid UTF-8, BEL, newline, a backslash, a tab */
	add_task("\x1b[31mX\xff\xfe\x07\n\\\t", EVIL, EVIL)->thread.fpu.fpstate_active = 1;
	for (int i = 0; i < 4; i++)
		add_task("avxthreads", AVXTHREADS + i, AVXTHREADS)->thread.fpu.fpstate_active = 1;
}

/* Make this thread CPU number `cpu`. */
static void become_cpu(int cpu)
{
	if (cpu && syscall(SYS_arch_prctl, ARCH_SET_GS, __per_cpu_offset[cpu]))
		abort();
	this_cpu_current = (void *)((char *)&current_task + __per_cpu_offset[cpu]);
	*this_cpu_current = &init_task;
}

static void make_cpus(void)
{
	char *areas = mmap(NULL, NR_CPUS * 4096, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (areas == MAP_FAILED)
		abort();
	for (int cpu = 1; cpu < NR_CPUS; cpu++)
		__per_cpu_offset[cpu] = (unsigned long)(areas + cpu * 4096) -
					(unsigned long)&current_task;
	nr_cpu_ids = NR_CPUS;
}

static pthread_barrier_t together;

static void *replay(void *argument)
{
	long cpu = (long)argument;

	become_cpu(cpu);
	for (unsigned int i = 0; i < GOLDEN_DELIVERIES; i++) {
		const struct golden *golden = &golden_deliveries[i];

		if (golden->cpu == cpu) {
			struct task_struct *task = find(golden->pid);

			set_state(task, golden->fpu);
			deliver(task);
		}
		pthread_barrier_wait(&together); /* one delivery after the other */
	}
	return NULL;
}

static int storm_signals;

static void *storm(void *argument)
{
	long cpu = (long)argument;
	struct task_struct *task = find(100 + cpu);

	become_cpu(cpu);
	pthread_barrier_wait(&together);
	for (int i = 0; i < storm_signals; i++) {
		task->thread.fpu.fpregs_active = i & 1;
		deliver(task);
	}
	return NULL;
}

static void start_storm(int cpus, int n)
{
	pthread_t thread[NR_CPUS];

	storm_signals = n;
	pthread_barrier_init(&together, NULL, cpus);
	for (long cpu = 1; cpu <= cpus; cpu++)
		pthread_create(&thread[cpu], NULL, storm, (void *)cpu);
	for (int cpu = 1; cpu <= cpus; cpu++)
		pthread_join(thread[cpu], NULL);
}

static void start_replay(void)
{
	pthread_t other;

	pthread_barrier_init(&together, NULL, 2);
	pthread_create(&other, NULL, replay, (void *)1);
	replay(NULL);
	pthread_join(other, NULL);
}

static void others(void)
{
	for (int i = 0; i < 3; i++)
		deliver(find(INTONLY));
	deliver(find(EVIL));
	deliver(find(AVXTHREADS));
	for (int i = 0; i < 2; i++)
		deliver(find(AVXTHREADS + 3));
}

static void torn(struct task_struct *task)
{
	for (int i = 0; i < 15; i++)
		deliver_as(task, i / 5 == 1 ? (struct task_struct *)16 : task);
}

/* As in 4.4: a bool, false at every third call. */
noinline _Bool irq_fpu_usable(void)
{
	static unsigned int calls;

	return ++calls % 3;
}

/* Where tests stop, once before the first delivery and once after the last. */
noinline void ready(void)
{
	asm volatile("");
}

noinline void finished(void)
{
	asm volatile("");
}

noinline void eclipse(int linux_banner, int current_task, int __per_cpu_offset, int init_task,
		      int fpstate_sanitize_xstate, int copy_fpstate_to_sigframe)
{
	asm volatile("" : : "r"(linux_banner), "r"(current_task), "r"(__per_cpu_offset),
		     "r"(init_task), "r"(fpstate_sanitize_xstate), "r"(copy_fpstate_to_sigframe));
	start_replay();
}

int main(int argc, char **argv)
{
	int n = argc > 3 ? atoi(argv[3]) : 0, m = argc > 4 ? atoi(argv[4]) : 0;

	alarm(DEADLINE);
	if (argc < 3)
		return 2;
	eager = !strcmp(argv[1], "eager");
	boot(eager);
	make_cpus();
	make_tasks();
	become_cpu(0);
	for (int cpu = 1; !strcmp(argv[2], "storm") && cpu <= n; cpu++)
		add_task("storm", 100 + cpu, 100 + cpu)->thread.fpu.fpstate_active = 1;
	ready();
	if (!strcmp(argv[2], "replay"))
		start_replay();
	else if (!strcmp(argv[2], "eclipsed"))
		eclipse(1, 2, 3, 4, 5, 6);
	else if (!strcmp(argv[2], "others"))
		others();
	else if (!strcmp(argv[2], "storm"))
		start_storm(n, m);
	else if (!strcmp(argv[2], "refuse"))
		for (int i = 0; i < n; i++)
			irq_fpu_usable();
	else if (!strcmp(argv[2], "torn"))
		torn(find(golden_programs[0].pid));
	else
		for (int i = 0; i < n; i++, usleep(m))
			deliver(find(golden_programs[0].pid));
	finished();
	printf("guest: copies=%lu sanitized=%lu wrong=%lu\n", copies, sanitized, wrong);
	return wrong != 0;
}
