/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The types and variables of Linux 4.4.60 that gdbfpu reads, in a host program: the names and
 * nesting are the kernel's, and golden.h (made from a trace of the real kernel when the tests
 * run) holds the places and values that the real one had.
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "golden.h"

#define PF_KTHREAD 0x00200000
#define EAGER_FPU_WORD 3
#define EAGER_FPU_BIT (1u << 29)
#define NR_CPUS 16
#define MAX_TASKS 40

struct list_head {
	struct list_head *next, *prev;
};

struct task_struct;

struct pt_regs {
	unsigned long regs[21];
};

struct pt_regs *user_registers;

struct thread_info {
	struct task_struct *task;
	unsigned int flags;
	unsigned int status;
	unsigned int cpu;
};

struct signal_struct {
	int sigcnt;
	int live;
	int nr_threads;
	struct list_head thread_head;
};

struct sigaction {
	void *sa_handler;
	unsigned long sa_flags;
	void *sa_restorer;
	unsigned long sa_mask;
};

struct k_sigaction {
	struct sigaction sa;
};

struct sighand_struct {
	int count;
	struct k_sigaction action[64];
};

struct fregs_state {
	unsigned int cwd, swd, twd, fip, fcs, foo, fos;
	unsigned int st_space[20];
	unsigned int status;
};

struct fxregs_state {
	unsigned short cwd, swd, twd, fop;
	union {
		struct {
			unsigned long rip, rdp;
		};
		struct {
			unsigned int fip, fcs, foo, fos;
		};
	};
	unsigned int mxcsr, mxcsr_mask;
	unsigned int st_space[32];
	unsigned int xmm_space[64];
	unsigned int padding[12];
	union {
		unsigned int padding1[12];
		unsigned int sw_reserved[12];
	};
} __attribute__((aligned(16)));

struct xstate_header {
	unsigned long xfeatures, xcomp_bv;
	unsigned long reserved[6];
} __attribute__((packed));

struct xregs_state {
	struct fxregs_state i387;
	struct xstate_header header;
	unsigned char __reserved[464];
} __attribute__((packed, aligned(64)));

union fpregs_state {
	struct fregs_state fsave;
	struct fxregs_state fxsave;
	struct xregs_state xsave;
	unsigned char __padding[4096];
};

struct fpu {
	unsigned int last_cpu;
	unsigned char fpstate_active;
	unsigned char fpregs_active;
	unsigned char counter;
	union fpregs_state state;
};

struct thread_struct {
	unsigned long sp0, sp;
	unsigned short es, ds, fsindex, gsindex;
	unsigned long fs, gs, ptrace_bps[4], debugreg6, cr2, trap_nr, error_code;
	struct fpu fpu;
};

struct task_struct {
	volatile long state;
	void *stack;
	int usage;
	unsigned int flags;
	char sched[GOLDEN_PID - 24 - 16];
	struct list_head tasks;
	int pid;
	int tgid;
	struct list_head thread_group, thread_node;
	char times[GOLDEN_COMM - GOLDEN_PID - 8 - 32];
	char comm[16];
	struct signal_struct *signal;
	struct sighand_struct *sighand;
	unsigned long blocked, nvcsw, nivcsw;
	char files[GOLDEN_FPU - GOLDEN_COMM - 56 - offsetof(struct thread_struct, fpu)];
	struct thread_struct thread;
};

_Static_assert(offsetof(struct task_struct, pid) == GOLDEN_PID, "pid");
_Static_assert(offsetof(struct task_struct, tgid) == GOLDEN_TGID, "tgid");
_Static_assert(offsetof(struct task_struct, comm) == GOLDEN_COMM, "comm");
_Static_assert(offsetof(struct fpu, state) == 64, "state");

struct cpuinfo_x86 {
	unsigned char x86, x86_vendor, x86_model, x86_mask;
	int x86_tlbsize;
	unsigned char x86_virt_bits, x86_phys_bits;
	unsigned int x86_capability[16];
	char x86_vendor_id[16];
};

#ifndef BANNER
#define BANNER GOLDEN_BANNER
#endif
const char linux_banner[] = BANNER "\n";

struct task_struct init_task;
struct task_struct *current_task; /* the first CPU's; those of others are __per_cpu_offset on */
unsigned long __per_cpu_offset[NR_CPUS];
unsigned int nr_cpu_ids = 1;

struct cpuinfo_x86 boot_cpu_data;
union fpregs_state init_fpstate;
unsigned long xfeatures_mask = GOLDEN_XFEATURES_MASK;
unsigned int xstate_size = GOLDEN_XSTATE_SIZE;
unsigned int xstate_offsets[] = GOLDEN_XSTATE_OFFSETS;
unsigned int xstate_sizes[] = GOLDEN_XSTATE_SIZES;

static void list_init(struct list_head *head)
{
	head->next = head->prev = head;
}

static void list_add_tail(struct list_head *node, struct list_head *head)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

/* The initial state, as the kernel's init_fpstate has it. */
static void initial_state(union fpregs_state *state)
{
	memset(state, 0, sizeof(*state));
	state->fxsave.cwd = 0x37f;
	state->fxsave.mxcsr = 0x1f80;
}

static void init_process(struct task_struct *task, struct signal_struct *signal)
{
	list_init(&signal->thread_head);
	task->signal = signal;
	list_add_tail(&task->thread_node, &signal->thread_head);
}

/* What the kernel has before any process. */
static void boot(bool eager)
{
	static struct signal_struct init_signals;

	initial_state(&init_fpstate);
	strcpy(init_task.comm, "swapper/0");
	init_task.flags = PF_KTHREAD;
	list_init(&init_task.tasks);
	initial_state(&init_task.thread.fpu.state);
	init_process(&init_task, &init_signals);
	current_task = &init_task;
	if (eager)
		boot_cpu_data.x86_capability[EAGER_FPU_WORD] |= EAGER_FPU_BIT;
}
