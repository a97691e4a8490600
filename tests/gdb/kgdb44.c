// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory of Linux 4.4 as KGDB shows it: CPU 0 runs `player`, whose registers are loaded, and CPU 1
 * idles. This program is never run. kgdb_stub.py serves its file as the memory of a kernel, and
 * executes the instructions in its text.
 */
#include "kernel44.h"

#define noinline __attribute__((noinline, noipa, used))
#define GUARDED(instruction)                                                                       \
	"1: " instruction "\n2:\n"                                                                 \
	".pushsection __ex_table,\"a\"\n .long 1b - ., fixup - .\n .popsection\n"

struct debuggerinfo_struct {
	void *debuggerinfo;
	struct task_struct *task;
	int exception_state, ret_state, irq_depth, enter_kgdb;
};

struct exception_table_entry {
	int insn, fixup;
};

extern char _etext[];
char *end_of_text = _etext;
struct exception_table_entry *an_entry;

#define ALONE(number) { &signals[number].thread_head, &signals[number].thread_head }
#define HEAD(task) { .thread_head = { &task.thread_node, &task.thread_node } }

struct task_struct player, sleeper, idle;
static struct signal_struct signals[3] = { HEAD(init_task), HEAD(player), HEAD(sleeper) };
struct task_struct player = {
	.comm = "player",
	.pid = 30,
	.tgid = 30,
	.tasks = { &sleeper.tasks, &init_task.tasks },
	.signal = &signals[1],
	.thread_node = ALONE(1),
	.thread.fpu = { .fpstate_active = 1, .fpregs_active = 1 },
};
struct task_struct sleeper = {
	.comm = "sleeper",
	.pid = 31,
	.tgid = 31,
	.tasks = { &init_task.tasks, &player.tasks },
	.signal = &signals[2],
	.thread_node = ALONE(2),
	.thread.fpu = { .fpstate_active = 1 },
};
struct task_struct init_task = {
	.comm = "swapper/0",
	.flags = PF_KTHREAD,
	.tasks = { &player.tasks, &sleeper.tasks },
	.signal = &signals[0],
	.thread_node = ALONE(0),
};
struct task_struct idle = { .comm = "swapper/1", .flags = PF_KTHREAD, .signal = &signals[0] };
struct task_struct *current_task = &player, *current_of_1 = &idle;

struct debuggerinfo_struct kgdb_info[NR_CPUS] = { { .task = &player, .exception_state = 1 },
						  { .task = &idle, .exception_state = 4 } };
int kgdb_active, kgdb_single_step;
unsigned char stack[4096];

noinline void copy_fpstate_to_sigframe(struct fpu *fpu)
{
	asm volatile(GUARDED("xsaveopt64 (%%rdi)") : : "D"(fpu), "a"(7), "d"(0) : "memory");
}

noinline int kgdb_handle_exception(struct debuggerinfo_struct *info)
{
	return info->exception_state;
}

noinline void instructions(void)
{
	asm volatile("mov %cr0, %r15\n"
		     "mov %cr4, %rbx\n"
		     "cpuid\n" GUARDED("rdmsr") "nop\n"
		     "fixup: nop\n");
}

int main(void)
{
	instructions();
	copy_fpstate_to_sigframe(&player.thread.fpu);
	return kgdb_handle_exception(kgdb_info);
}
