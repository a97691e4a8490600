// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Four probed functions, each beginning with instructions given as macros when this is compiled
 * (COPY, SAVE, SANITIZE, SANITIZE387), and each with a twin under another name, which nobody
 * probes. Both are entered with the same registers and store all of them, and the flags, behind
 * those instructions. What the twin stored is what the CPU makes of them.
 */
#include <stdio.h>

#include "kernel44.h"

unsigned long seen[17];       /* rax rbx rcx rdx rsi rdi rbp rsp r8 to r15 rflags */
unsigned long first_argument; /* rdi */
unsigned long stack_pointer;
void *function;
extern char enter[];
void *leave;

asm(".text\n"
    "enter:	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "	mov %rsp, stack_pointer(%rip)\n"
    "	movabs $0x8123456789abcdef, %rax; movabs $0x1122334455667788, %rbx\n"
    "	movabs $0xfedcba9876543210, %rcx; movabs $0x00000001c0000344, %rdx\n"
    "	movabs $0x00007ffd5c965140, %rsi; movabs $0x5555555555555555, %rbp\n"
    "	movabs $0x0808080808080808, %r8;  movabs $0x0909090909090909, %r9\n"
    "	movabs $0x0a0a0a0a0a0a0a0a, %r10; movabs $0x8b0b0b0b0b0b0b0b, %r11\n"
    "	movabs $0x0c0c0c0c0c0c0c0c, %r12; movabs $0x0d0d0d0d0d0d0d0d, %r13\n"
    "	movabs $0x0e0e0e0e0e0e0e0e, %r14; movabs $0x0f0f0f0f0f0f0f0f, %r15\n"
    "	mov first_argument(%rip), %rdi\n"
    "	cmp %rax, %rcx\n" /* flags that are not all alike */
    "	call *function(%rip)\n"
    "done:	mov stack_pointer(%rip), %rsp\n"
    "	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "	ret\n");

#define STORE \
	"mov %rax, seen(%rip); mov %rbx, seen+8(%rip); mov %rcx, seen+16(%rip)\n" \
	"mov %rdx, seen+24(%rip); mov %rsi, seen+32(%rip); mov %rdi, seen+40(%rip)\n" \
	"mov %rbp, seen+48(%rip); mov %rsp, seen+56(%rip); mov %r8, seen+64(%rip)\n" \
	"mov %r9, seen+72(%rip); mov %r10, seen+80(%rip); mov %r11, seen+88(%rip)\n" \
	"mov %r12, seen+96(%rip); mov %r13, seen+104(%rip); mov %r14, seen+112(%rip)\n" \
	"mov %r15, seen+120(%rip); pushfq; popq seen+128(%rip)\n" \
	"jmp *leave(%rip)\n"

#define PROBED(name, prologue) \
	__attribute__((naked, noinline, used)) void name(void) { asm(prologue "\n" STORE); } \
	__attribute__((naked, noinline, used)) void name##_twin(void) { asm(prologue "\n" STORE); }

PROBED(copy_fpstate_to_sigframe, COPY)
PROBED(save_xstate_sig, SAVE)
PROBED(fpstate_sanitize_xstate, SANITIZE)
PROBED(__sanitize_i387_state, SANITIZE387)

static void call(void *entry, void *argument, unsigned long *stored)
{
	first_argument = (unsigned long)argument;
	function = entry;
	((void (*)(void))enter)();
	memcpy(stored, seen, sizeof(seen));
}

static int compare(const char *name, void *probed, void *twin, void *argument)
{
	unsigned long got[17], want[17];
	int different = 0;

	for (int round = 0; round < 3; round++) {
		memset(seen, 0, sizeof(seen));
		call(probed, argument, got);
		memset(seen, 0, sizeof(seen));
		call(twin, argument, want);
		for (int i = 0; i < 17; i++)
			if (got[i] != want[i] || !want[7]) {
				printf("%s: register %d: %#lx, not %#lx\n", name, i, got[i], want[i]);
				different++;
			}
	}
	printf("%s: %d differ\n", name, different);
	return different;
}

__attribute__((noinline, noipa)) void ready(void)
{
	asm volatile("");
}

#define COMPARE(name, argument) compare(#name, name, name##_twin, argument)

int main(void)
{
	extern char done[];

	leave = done;
	boot(false);
	ready();
	return COMPARE(copy_fpstate_to_sigframe, (void *)0x7ffd5c965140) +
	       COMPARE(save_xstate_sig, (void *)0x7ffd5c965140) +
	       COMPARE(fpstate_sanitize_xstate, &init_task.thread.fpu) +
	       COMPARE(__sanitize_i387_state, &init_task);
}
