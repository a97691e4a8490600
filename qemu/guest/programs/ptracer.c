/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ptracer: a tracer that reads and writes the FP registers of its child, N rounds.  The child loads
 * byte j of ymm[i] = 0xc3 ^ (i << 4) ^ (j & 15), in the upper half (j >= 16) XOR 0xff, and stops.
 * In every round r (from 0) the tracer, in this order,
 *
 *	PTRACE_GETFPREGS	finds the pattern;
 *	PTRACE_SETFPREGS	sets every byte of xmm0 to 0x10 + r modulo 256;
 *	PTRACE_GETREGSET	NT_PRFPREG, finds that;
 *	PTRACE_SETREGSET	NT_PRFPREG, sets every byte of xmm1 to 0x20 + r;
 *	PTRACE_GETREGSET	NT_X86_XSTATE, finds both, and the pattern's upper half of ymm2;
 *	PTRACE_SETREGSET	NT_X86_XSTATE, sets every byte of ymm2's upper half to 0x30 + r;
 *
 * and lets the child store its registers, in which the tracer finds all it wrote.  No signal frame
 * is built for either task.  The line counts the calls, those of both note types together:
 * guest: ptracer pid= getfpregs= setfpregs= getregset= setregset= child= ok
 */
#include "guest.h"
#include "ymm.h"

#define PTRACE_TRACEME 0
#define PTRACE_CONT 7
#define PTRACE_KILL 8
#define PTRACE_GETFPREGS 14
#define PTRACE_SETFPREGS 15
#define PTRACE_GETREGSET 0x4204
#define PTRACE_SETREGSET 0x4205
#define NT_PRFPREG 2
#define NT_X86_XSTATE 0x202

#define FXSAVE_SIZE 512
#define XMM_OFFSET 160		/* in the FXSAVE image */
#define YMM_HIGH_OFFSET 576	/* in the standard format of the XSAVE image */
#define PROT_READ_WRITE 3
#define MAP_SHARED_ANONYMOUS 0x21

struct iovec {
	void *base;
	unsigned long length;
};

static unsigned char pattern[YMM_COUNT][YMM_SIZE];
static unsigned char (*stored)[YMM_SIZE];	/* what the child had after it was written to */
static unsigned long calls[2][2];		/* [set][regset] */
static int intact = 1;

static void fill(unsigned char *target, unsigned long size, unsigned char byte)
{
	while (size--)
		*target++ = byte;
}

static void expect(const void *left, const void *right, unsigned long size)
{
	intact &= same(left, right, size);
}

static _Noreturn void be_traced(void)
{
	long pid = syscall4(NR_getpid, 0, 0, 0, 0);

	if (syscall4(NR_ptrace, PTRACE_TRACEME, 0, 0, 0))
		fail("ptracer", "PTRACE_TRACEME");
	for (;;)
		__asm__ volatile(LOAD_ALL_YMM
			"	mov	%[kill], %%eax\n"
			"	syscall\n"
			STORE_ALL_YMM
			:: [from] "r"(pattern), [to] "r"(stored), [kill] "i"(NR_kill),
			   "D"(pid), "S"(SIGSTOP)
			: "rax", "rcx", "r11", "memory");
}

static void wait_for_stop(long child)
{
	int status;

	if (syscall4(NR_wait4, child, (long)&status, 0, 0) != child)
		fail("ptracer", "wait4");
	if (status != (SIGSTOP << 8 | 0x7f))
		fail("ptracer", "the child did not stop");
}

static void request_fpregs(int set, long child, unsigned char *image)
{
	long request = set ? PTRACE_SETFPREGS : PTRACE_GETFPREGS;

	if (syscall4(NR_ptrace, request, child, 0, (long)image))
		fail("ptracer", set ? "PTRACE_SETFPREGS" : "PTRACE_GETFPREGS");
	calls[set][0]++;
}

static void request_regset(int set, long child, long note, struct iovec *image)
{
	long request = set ? PTRACE_SETREGSET : PTRACE_GETREGSET;

	if (syscall4(NR_ptrace, request, child, note, (long)image))
		fail("ptracer", set ? "PTRACE_SETREGSET" : "PTRACE_GETREGSET");
	calls[set][1]++;
}

static void trace_legacy(long child, unsigned long round)
{
	static unsigned char image[FXSAVE_SIZE];
	struct iovec whole = { image, sizeof(image) };
	unsigned char *xmm = image + XMM_OFFSET, written[16];
	unsigned int i;

	request_fpregs(0, child, image);
	for (i = 0; i < YMM_COUNT; i++)
		expect(xmm + 16 * i, pattern[i], 16);
	fill(xmm, 16, 0x10 + round);
	request_fpregs(1, child, image);
	fill(image, sizeof(image), 0);
	request_regset(0, child, NT_PRFPREG, &whole);
	fill(written, sizeof(written), 0x10 + round);
	expect(xmm, written, 16);
	fill(xmm + 16, 16, 0x20 + round);
	request_regset(1, child, NT_PRFPREG, &whole);
}

static void trace_extended(long child, unsigned long round)
{
	static unsigned char image[16384];
	struct iovec whole = { image, sizeof(image) };
	unsigned char *high = image + YMM_HIGH_OFFSET, written[32];

	request_regset(0, child, NT_X86_XSTATE, &whole);
	fill(written, 16, 0x10 + round);
	fill(written + 16, 16, 0x20 + round);
	expect(image + XMM_OFFSET, written, 32);
	expect(high + 2 * 16, pattern[2] + 16, 16);
	fill(high + 2 * 16, 16, 0x30 + round);
	request_regset(1, child, NT_X86_XSTATE, &whole);
}

static void check_child(unsigned long round)
{
	unsigned char written[16];
	unsigned int i;

	for (i = 0; i < YMM_COUNT; i++) {
		fill(written, sizeof(written), 0x10 * (i + 1) + round);
		expect(stored[i], i < 2 ? written : pattern[i], 16);
		expect(stored[i] + 16, i == 2 ? written : pattern[i] + 16, 16);
	}
}

static long begin_tracing(void)
{
	unsigned int i, j;
	long child;

	for (i = 0; i < YMM_COUNT; i++)
		for (j = 0; j < YMM_SIZE; j++)
			pattern[i][j] = 0xc3 ^ (i << 4) ^ (j & 15) ^ (j >= 16 ? 0xff : 0);
	child = syscall4(NR_fork, 0, 0, 0, 0);
	if (child < 0)
		fail("ptracer", "fork");
	if (!child)
		be_traced();
	wait_for_stop(child);
	return child;
}

static void *map_shared_page(void)
{
	register long offset __asm__("r9") = 0;
	register long file __asm__("r8") = -1;
	register long flags __asm__("r10") = MAP_SHARED_ANONYMOUS;
	long result;

	__asm__ volatile("syscall"
		: "=a"(result)
		: "a"(NR_mmap), "D"(0), "S"(4096), "d"(PROT_READ_WRITE), "r"(flags), "r"(file),
		  "r"(offset)
		: "rcx", "r11", "memory");
	if (result < 0 && result > -4096)
		fail("ptracer", "mmap");
	return (void *)result;
}

static void announce_calls(long child)
{
	struct line line;

	begin(&line, "ptracer");
	put_field(&line, "pid", syscall4(NR_getpid, 0, 0, 0, 0));
	put_field(&line, "getfpregs", calls[0][0]);
	put_field(&line, "setfpregs", calls[1][0]);
	put_field(&line, "getregset", calls[0][1]);
	put_field(&line, "setregset", calls[1][1]);
	put_field(&line, "child", child);
	put_verdict(&line, intact);
}

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	struct timespec pause = milliseconds(request.interval_ms);
	unsigned long round;
	long child;

	stored = map_shared_page();
	child = begin_tracing();
	for (round = 0; round < request.limit; round++) {
		trace_legacy(child, round);
		trace_extended(child, round);
		if (syscall4(NR_ptrace, PTRACE_CONT, child, 0, 0))
			fail("ptracer", "PTRACE_CONT");
		wait_for_stop(child);
		check_child(round);
		syscall4(NR_nanosleep, (long)&pause, 0, 0, 0);
	}
	announce_calls(child);
	syscall4(NR_ptrace, PTRACE_KILL, child, 0, 0);
	return 0;
}
