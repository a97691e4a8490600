// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A process with the types, variables and functions of Linux 3.10 that gdbfpu reads: the FPU
 * state is behind a pointer, which is NULL until the task uses the FPU. It delivers a signal to
 * each user task, and then one task looks at another's state as a tracer does.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define noinline __attribute__((noinline, noipa))
#define DEADLINE 120 /* seconds that the process may live */
#define PF_KTHREAD 0x00200000
#define XSTATE_SIZE 832

typedef unsigned int u32;
typedef unsigned long u64;

struct pt_regs {
	u64 regs[21];
} *user_registers;

struct list_head {
	struct list_head *next, *prev;
};

struct signal_struct {
	int sigcnt;
	struct list_head thread_head;
};

struct sigaction {
	void *sa_handler;
	u64 sa_flags;
	void *sa_restorer;
	u64 sa_mask;
};

struct k_sigaction {
	struct sigaction sa;
};

struct sighand_struct {
	int count;
	struct k_sigaction action[64];
};

struct i387_fxsave_struct {
	unsigned short cwd, swd, twd, fop;
	u64 rip, rdp;
	u32 mxcsr, mxcsr_mask, st_space[32], xmm_space[64], padding[24];
} __attribute__((aligned(16)));

struct xsave_hdr_struct {
	u64 xstate_bv, reserved1[2], reserved2[5];
} __attribute__((packed));

struct xsave_struct {
	struct i387_fxsave_struct i387;
	struct xsave_hdr_struct xsave_hdr;
	struct {
		u32 ymmh_space[64];
	} ymmh;
} __attribute__((packed, aligned(64)));

union thread_xstate {
	struct i387_fxsave_struct fxsave;
	struct xsave_struct xsave;
};

struct fpu {
	unsigned int last_cpu;
	unsigned int has_fpu;
	union thread_xstate *state;
};

struct thread_struct {
	u64 sp0, sp, cr2, trap_nr, error_code;
	struct fpu fpu;
};

struct task_struct {
	volatile long state;
	unsigned int flags;
	unsigned char fpu_counter;
	struct list_head tasks;
	int pid, tgid;
	struct list_head thread_node;
	char comm[16];
	struct thread_struct thread;
	struct signal_struct *signal;
	struct sighand_struct *sighand;
	u64 blocked, nvcsw, nivcsw;
};

struct cpuinfo_x86 {
	unsigned char x86, x86_vendor, x86_model, x86_mask;
	u32 x86_capability[10];
};

_Static_assert(sizeof(union thread_xstate) == XSTATE_SIZE, "state");

const char linux_banner[] = "Linux version 3.10.0 (gcc version 4.8.5) #1 SMP\n";
struct cpuinfo_x86 boot_cpu_data;
u64 pcntxt_mask = 7;
u32 xstate_size = XSTATE_SIZE, xstate_features = 3;
static u32 offsets[] = { 0, 0, 576 }, sizes[] = { 0, 0, 256 };
unsigned int *xstate_offsets = offsets, *xstate_sizes = sizes;
static struct xsave_struct initial = { .i387 = { .cwd = 0x37f, .mxcsr = 0x1f80 } };
struct xsave_struct *init_xstate_buf = &initial;

enum { INTONLY, LIVE, SAVED, TRACER, TASKS };

struct task_struct init_task = { .flags = PF_KTHREAD, .comm = "swapper/0" };
struct task_struct *current_task = &init_task;
struct task_struct tasks[TASKS] = {
	{ .pid = 34, .tgid = 34, .comm = "intonly" },
	{ .pid = 35, .tgid = 35, .comm = "x87calc" },
	{ .pid = 36, .tgid = 36, .comm = "avxcalc" },
	{ .pid = 37, .tgid = 37, .comm = "tracer" },
};
static struct signal_struct signals[TASKS + 1];
static union thread_xstate states[2];
static unsigned int saved, sanitized;

noinline void __sanitize_i387_state(struct task_struct *tsk)
{
	sanitized += tsk->thread.fpu.state != NULL;
}

noinline int save_xstate_sig(void *buf, void *fx, int size)
{
	saved += buf == fx && size == XSTATE_SIZE;
	if (!current_task->thread.fpu.has_fpu)
		__sanitize_i387_state(current_task);
	memcpy(fx, current_task->thread.fpu.state, size);
	return 0;
}

noinline void handle_signal(struct task_struct *task)
{
	static char frame[XSTATE_SIZE];

	current_task = task;
	if (task->thread.fpu.state)
		save_xstate_sig(frame, frame, sizeof(frame));
	current_task = &init_task;
}

noinline void xstateregs_get(struct task_struct *target)
{
	current_task = &tasks[TRACER];
	__sanitize_i387_state(target);
	current_task = &init_task;
}

static void add_task(struct task_struct *task, struct signal_struct *signal)
{
	struct list_head *node = &task->tasks, *head = &init_task.tasks;

	task->signal = signal;
	task->thread_node.next = task->thread_node.prev = &signal->thread_head;
	signal->thread_head.next = signal->thread_head.prev = &task->thread_node;
	node->next = head;
	node->prev = task == &init_task ? head : head->prev;
	node->prev->next = node;
	head->prev = node;
}

static void use_fpu(struct task_struct *task, union thread_xstate *state, u64 xstate_bv)
{
	state->xsave = initial;
	state->xsave.xsave_hdr.xstate_bv = xstate_bv;
	for (int i = 0; i < 4; i++) {
		state->xsave.i387.xmm_space[i] = 0x11111111u * (i + 1);
		state->xsave.ymmh.ymmh_space[i] = 0x11111111u * (i + 5);
	}
	task->thread.fpu.state = state;
}

/* Where tests stop, once before the first signal and once after the last. */
noinline void ready(void)
{
	asm volatile("");
}

noinline void finished(void)
{
	asm volatile("");
}

int main(void)
{
	alarm(DEADLINE);
	add_task(&init_task, &signals[TASKS]);
	for (int i = 0; i < TASKS; i++)
		add_task(&tasks[i], &signals[i]);
	use_fpu(&tasks[LIVE], &states[0], 3);
	use_fpu(&tasks[SAVED], &states[1], 7);
	tasks[LIVE].thread.fpu.has_fpu = 1;
	ready();
	for (int i = 0; i < TASKS; i++)
		handle_signal(&tasks[i]);
	xstateregs_get(&tasks[SAVED]);
	finished();
	printf("guest: saved=%u sanitized=%u\n", saved, sanitized);
	return 0;
}
