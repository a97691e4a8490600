/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads without a C library. */
#ifndef THREADS_H
#define THREADS_H

#include "guest.h"

#define THREADS 4
#define STACK_SIZE 16384
#define CLONE_THREAD_FLAGS 0x50f00	/* VM, FS, FILES, SIGHAND, THREAD, SYSVSEM */

/* Start a thread of this process that runs entry(argument) on the stack below `top`. */
static inline void spawn(const char *name, void (*entry_)(void *), void *argument_, unsigned char *top)
{
	long result;
	register void (*entry)(void *) __asm__("r12") = entry_;
	register void *argument __asm__("r13") = argument_;

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
		: "a"(NR_clone), "D"(CLONE_THREAD_FLAGS), "S"(top),
		  [entry] "r"(entry), [argument] "r"(argument)
		: "rcx", "rdx", "r8", "r10", "r11", "memory", "cc");
	if (result < 0)
		fail(name, "clone");
}

static inline _Noreturn void end_thread(void)
{
	for (;;)
		syscall4(NR_exit, 0, 0, 0, 0);
}

#endif
