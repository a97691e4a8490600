/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory of a kernel that never runs: what gdbfpu and a reader of dumps look for, with the
 * names and types of Linux 6.1, filled in by the compiler. kernel.lds puts it where a kernel is.
 */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

#define PHYSICAL(address) ((u64)(address) - 0xffffffff80000000ul)
#define DIRECT(address) (PHYSICAL(address) + 0xffff888000000000ul)
#define PRESENT 3
#define LARGE 0x80
#define PF_KTHREAD 0x00200000
#define NEED_LOAD (1ul << 14)

struct list_head { struct list_head *next, *prev; };
struct thread_info { u64 flags; u64 syscall_work; u32 status, cpu; };
struct sigaction { void *sa_handler; u64 sa_flags; };
struct k_sigaction { struct sigaction sa; };
struct sighand_struct { int count; struct k_sigaction action[64]; };
struct signal_struct { int sigcnt; struct list_head thread_head; };
struct mm_struct { u64 *pgd; };
struct pt_regs { u64 regs[21]; };

struct fxregs_state {
	unsigned short cwd, swd, twd, fop;
	u64 rip, rdp;
	u32 mxcsr, mxcsr_mask, st_space[32], xmm_space[64], padding[12], sw_reserved[12];
} __attribute__((aligned(16)));
struct xstate_header { u64 xfeatures, xcomp_bv, reserved[6]; };
struct xregs_state { struct fxregs_state i387; struct xstate_header header; u8 extended[264]; }
	__attribute__((aligned(64)));
union fpregs_state { struct fxregs_state fxsave; struct xregs_state xsave; };
struct fpstate {
	u32 size, user_size;
	u64 xfeatures, user_xfeatures, xfd;
	u32 is_valloc : 1, is_guest : 1, is_confidential : 1, in_use : 1;
	union fpregs_state regs __attribute__((aligned(64)));
};
struct fpu_state_perm { u64 __state_perm; u32 __state_size, __user_state_size; };
struct fpu {
	u32 last_cpu;
	u64 avx512_timestamp;
	struct fpstate *fpstate, *__task_fpstate;
	struct fpu_state_perm perm, guest_perm;
	struct fpstate __fpstate;
};
struct thread_struct { u64 sp; struct fpu fpu; };
struct task_struct {
	struct thread_info thread_info;
	void *stack;
	u32 flags;
	int on_cpu;
	struct list_head tasks;
	struct mm_struct *mm;
	int pid, tgid;
	struct list_head thread_node;
	struct signal_struct *signal;
	struct sighand_struct *sighand;
	u64 blocked, nvcsw, nivcsw;
	char comm[16];
	struct thread_struct thread;
};
struct fpu_state_config { u32 max_size, default_size; u64 max_features, default_features; };
struct cpuinfo_x86 { u8 x86, x86_vendor, x86_model; u32 x86_capability[24]; };

const char linux_banner[] = "Linux version 6.1.0-fuzz (fuzz@fuzz) #1 SMP\n";
__attribute__((section(".init.text"))) void start_kernel(void) { }
__attribute__((noinline)) int copy_fpstate_to_sigframe(void *buf, void *fx, int size)
{
	return buf == fx && size;
}

struct fpu_state_config fpu_kernel_cfg = { 840, 840, 0x207, 0x207 };
struct fpu_state_config fpu_user_cfg = { 840, 840, 0x207, 0x207 };
u32 xstate_offsets[20] = { 0, 160, 576, [9] = 832 };
u32 xstate_sizes[20] = { 160, 256, 256, [9] = 8 };
u32 xstate_flags[20] = { 0 };
struct cpuinfo_x86 boot_cpu_data = { 6, 0, 1, { [10] = 0xf } };

#define STATE(used, value) { \
	.size = 840, .user_size = 840, .xfeatures = 0x207, .user_xfeatures = 0x207, \
	.regs.xsave = { .i387 = { .cwd = 0x37f, .mxcsr = 0x1f80, .xmm_space = { value } }, \
			.header = { used, 1ul << 63 | 0x207 }, .extended = { value } } }
struct fpstate init_fpstate = STATE(0, 0);

extern struct task_struct init_task, one, two, thread;
static struct sighand_struct sighand;
static struct signal_struct signals[3] = {
	{ 1, { &init_task.thread_node, &init_task.thread_node } },
	{ 1, { &one.thread_node, &one.thread_node } },
	{ 2, { &two.thread_node, &thread.thread_node } },
};
extern u64 user_top[512];
static struct mm_struct mm = { (u64 *)DIRECT(user_top) };

#define TASK(name, PID, TGID, COMM, FLAGS, MM, SIGNAL, NEXT, NODE, USED) \
	struct task_struct name = { .thread_info.flags = NEED_LOAD, .flags = FLAGS, \
		.tasks = { &NEXT.tasks, &NEXT.tasks }, .mm = MM, .pid = PID, .tgid = TGID, \
		.thread_node = { NODE, NODE }, .signal = &signals[SIGNAL], .sighand = &sighand, \
		.comm = COMM, .thread.fpu = { .last_cpu = -1, .fpstate = &name.thread.fpu.__fpstate, \
			.perm = { 0x207, 840, 840 }, .__fpstate = STATE(USED, USED) } }
TASK(init_task, 0, 0, "swapper/0", PF_KTHREAD, 0, 0, one, &signals[0].thread_head, 0);
TASK(one, 1, 1, "init", 0, &mm, 1, two, &signals[1].thread_head, 3);
TASK(two, 30, 30, "ymmall", 0, &mm, 2, init_task, &thread.thread_node, 7);
TASK(thread, 31, 30, "worker", 0, &mm, 2, init_task, &signals[2].thread_head, 2);

/* What is in a per-CPU area; its symbols count from 0, kernel.lds says so. */
struct area {
	struct task_struct *current_task;
	struct fpu *fpu_fpregs_owner_ctx;
	u64 xfd_state;
	u8 in_kernel_fpu;
	u32 cpu_number;
} areas[2] __attribute__((section(".areas"))) = {
	{ &two, &two.thread.fpu }, { &init_task, &one.thread.fpu, .cpu_number = 1 },
};
u64 __per_cpu_offset[2] = { (u64)&areas[0], (u64)&areas[1] };
u32 nr_cpu_ids = 2;
u64 __cpu_online_mask = 3;
u64 page_offset_base = 0xffff888000000000ul;

/* 4 levels: the direct map in a page of 1 GiB, the kernel in one of 2 MiB, a user page. */
#define TABLE u64 __attribute__((aligned(4096)))
TABLE kernel_pages[512] = { [8] = 0x1000000 | LARGE | PRESENT };
TABLE kernel_top[512] = { [510] = PHYSICAL(kernel_pages) + PRESENT };
TABLE direct_map[512] = { 0 | LARGE | PRESENT };
TABLE user_pages[512] = { 0x1000000 + PRESENT };
TABLE user_middle[512] = { PHYSICAL(user_pages) + PRESENT };
TABLE user_upper[512] = { PHYSICAL(user_middle) + PRESENT };
TABLE user_top[512] = { PHYSICAL(user_upper) + PRESENT };
TABLE swapper_pg_dir[512] = {
	[273] = PHYSICAL(direct_map) + PRESENT, [511] = PHYSICAL(kernel_top) + PRESENT,
};
