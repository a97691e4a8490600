/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * badxcomp: asks the kernel to load an XSAVE header that no CPU loads, with xcomp_bv set to
 * 0x8000000000000007 (CVE-2017-15537), in both ways that there are:
 *
 *	sigreturn	a child changes the header in its own signal frame, from the handler;
 *	ptrace		PTRACE_SETREGSET of NT_X86_XSTATE, on another child, which stays stopped.
 *
 * Both children use the FPU first: under lazy switching a task that never did has no image.  The
 * line tells 1 for a way that the kernel refused (the child died of SIGSEGV, the call failed),
 * and the second child's pid: guest: badxcomp pid= child= sigreturn= ptrace= ok
 * Then it sleeps for ever, with that child stopped as it is.
 */
#include "signals.h"

#define SIGSEGV 11
#define PTRACE_TRACEME 0
#define PTRACE_GETREGSET 0x4204
#define PTRACE_SETREGSET 0x4205
#define NT_X86_XSTATE 0x202

#define FPSTATE_OFFSET 224	/* of the pointer in struct ucontext: uc_mcontext.fpstate */
#define XCOMP_BV_OFFSET 520	/* in the XSAVE image */
#define XCOMP_BV 0x8000000000000007ul
#define IMAGE_SIZE 16384

struct iovec {
	void *base;
	unsigned long length;
};

static unsigned char image[IMAGE_SIZE];

static void use_fpu(void)
{
	__asm__ volatile("fninit");
}

static void spoil(int signo, void *info, unsigned char *context)
{
	unsigned char *fpstate = *(unsigned char **)(context + FPSTATE_OFFSET);

	(void)signo, (void)info;
	*(unsigned long *)(fpstate + XCOMP_BV_OFFSET) = XCOMP_BV;
}

/* Returns the child's wait status. */
static int try_sigreturn(void)
{
	long child = syscall4(NR_fork, 0, 0, 0, 0);
	int status = 0;

	if (!child) {
		install_handler("badxcomp", SIGUSR1, spoil);
		use_fpu();
		syscall4(NR_kill, syscall4(NR_getpid, 0, 0, 0, 0), SIGUSR1, 0, 0);
		quit(0);
	}
	if (child < 0 || syscall4(NR_wait4, child, (long)&status, 0, 0) != child)
		fail("badxcomp", "fork, wait4");
	return status;
}

static long stopped_child(void)
{
	long child = syscall4(NR_fork, 0, 0, 0, 0);
	int status;

	if (!child) {
		if (syscall4(NR_ptrace, PTRACE_TRACEME, 0, 0, 0))
			fail("badxcomp", "PTRACE_TRACEME");
		use_fpu();
		syscall4(NR_kill, syscall4(NR_getpid, 0, 0, 0, 0), SIGSTOP, 0, 0);
		quit(0);
	}
	if (child < 0 || syscall4(NR_wait4, child, (long)&status, 0, 0) != child)
		fail("badxcomp", "fork, wait4");
	return child;
}

/* Returns what PTRACE_SETREGSET returns: 0 where the kernel took the header. */
static long try_ptrace(long child)
{
	struct iovec note = { image, sizeof(image) };

	if (syscall4(NR_ptrace, PTRACE_GETREGSET, child, NT_X86_XSTATE, (long)&note))
		fail("badxcomp", "PTRACE_GETREGSET");
	*(unsigned long *)(image + XCOMP_BV_OFFSET) = XCOMP_BV;
	return syscall4(NR_ptrace, PTRACE_SETREGSET, child, NT_X86_XSTATE, (long)&note);
}

int run(int argc, char **argv)
{
	int died = try_sigreturn();
	long child = stopped_child(), refused = try_ptrace(child);
	struct line line;

	(void)argc, (void)argv;
	begin(&line, "badxcomp");
	put_field(&line, "pid", syscall4(NR_getpid, 0, 0, 0, 0));
	put_field(&line, "child", child);
	put_field(&line, "sigreturn", (died & 0x7f) == SIGSEGV);
	put_field(&line, "ptrace", refused != 0);
	put_verdict(&line, 1);
	for (;;)
		syscall4(NR_rt_sigsuspend, (long)nothing_blocked, 8, 0, 0);
}
