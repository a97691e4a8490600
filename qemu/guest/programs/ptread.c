/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ptread PID: a ptrace reader.  It stops the task PID (PTRACE_SEIZE, PTRACE_INTERRUPT), reads its
 * NT_X86_XSTATE note, which is an XSAVE image in the standard format, or where the kernel has none
 * (no XSAVE) NT_PRFPREG, of a 32-bit task NT_PRXFPREG, an FXSAVE image, writes it in one line,
 * guest: ptread pid=PID bytes=HEX, and holds the task stopped until SIGTERM.  Then it lets the task
 * go on, with the signal that it was about to take, if there was one, and exits with 0.
 */
#include "signals.h"

#define PTRACE_DETACH 17
#define PTRACE_GETREGSET 0x4204
#define PTRACE_SEIZE 0x4206
#define PTRACE_INTERRUPT 0x4207
#define NT_PRFPREG 2
#define NT_PRXFPREG 0x46e62b7f	/* only 32-bit tasks have it */
#define NT_X86_XSTATE 0x202
#define WAIT_ALL 0x40000000	/* __WALL: threads too */
#define SIGTERM 15

#define IMAGE_SIZE 16384

struct iovec {
	void *base;
	unsigned long length;
};

static unsigned char image[IMAGE_SIZE];
static char text[2 * IMAGE_SIZE + 64];
static const unsigned long termination_blocked[1] = { 1ul << (SIGTERM - 1) };

static void be_terminated(int signo)
{
	(void)signo;
}

/* Stop the task; returns the signal that it is about to take, 0 for none. */
static long stop(long task)
{
	int status;

	if (syscall4(NR_ptrace, PTRACE_SEIZE, task, 0, 0))
		fail("ptread", "PTRACE_SEIZE");
	if (syscall4(NR_ptrace, PTRACE_INTERRUPT, task, 0, 0))
		fail("ptread", "PTRACE_INTERRUPT");
	if (syscall4(NR_wait4, task, (long)&status, WAIT_ALL, 0) != task)
		fail("ptread", "wait4");
	if ((status & 0xff) != 0x7f)
		fail("ptread", "the task did not stop");
	return status >> 16 ? 0 : status >> 8;	/* a PTRACE_EVENT_STOP is no signal's */
}

static void write_image(long task, unsigned long size)
{
	static const char digits[] = "0123456789abcdef";
	struct line line;
	unsigned long length, i, done = 0;

	begin(&line, "ptread");
	put_field(&line, "pid", task);
	put(&line, " bytes=");
	for (length = 0; length < line.length; length++)
		text[length] = line.text[length];
	for (i = 0; i < size; i++) {
		text[length++] = digits[image[i] >> 4];
		text[length++] = digits[image[i] & 15];
	}
	text[length++] = '\n';
	while (done < length) {
		long written = syscall4(NR_write, 1, (long)(text + done), length - done, 0);

		if (written <= 0)
			quit(1);
		done += written;
	}
}

int run(int argc, char **argv)
{
	struct iovec note = { image, sizeof(image) };
	long task = argc == 2 ? (long)number(argv[1]) : 0, signal;

	if (!task)
		fail("ptread", "usage: ptread PID");
	install_handler("ptread", SIGTERM, be_terminated);
	if (syscall4(NR_rt_sigprocmask, SIG_BLOCK, (long)termination_blocked, 0, 8))
		fail("ptread", "rt_sigprocmask");
	signal = stop(task);
	if (syscall4(NR_ptrace, PTRACE_GETREGSET, task, NT_X86_XSTATE, (long)&note) &&
	    syscall4(NR_ptrace, PTRACE_GETREGSET, task, NT_PRXFPREG, (long)&note) &&
	    syscall4(NR_ptrace, PTRACE_GETREGSET, task, NT_PRFPREG, (long)&note))
		fail("ptread", "PTRACE_GETREGSET");
	write_image(task, note.length);
	syscall4(NR_rt_sigsuspend, (long)nothing_blocked, 8, 0, 0);
	if (syscall4(NR_ptrace, PTRACE_DETACH, task, 0, signal))
		fail("ptread", "PTRACE_DETACH");
	return 0;
}
