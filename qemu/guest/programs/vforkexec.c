/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vforkexec: fills all sixteen ymm (byte j of ymm[i] is 0xa5 ^ i << 4 ^ j), and with them held makes
 * a child by vfork(2), which executes this program anew; the child takes its signals without ever
 * touching the FPU, though it began with its parent's registers.  Then the parent takes as many.
 * A line each: guest: vforkexec pid= loaded=0|1 signals= ok
 */
#include "signals.h"
#include "ymm.h"

static unsigned char pattern[YMM_COUNT][YMM_SIZE], held[YMM_COUNT][YMM_SIZE];

static void announce_one(unsigned long loaded, unsigned long signals, int ok)
{
	struct line line;

	begin(&line, "vforkexec");
	put_field(&line, "pid", syscall4(NR_gettid, 0, 0, 0, 0));
	put_field(&line, "loaded", loaded);
	put_field(&line, "signals", signals);
	put_verdict(&line, ok);
}

/* Run `arguments` in a child by vfork, with all ymm held; in the parent they are held at the end. */
static long run_child(const char *path, char **arguments, char **environment)
{
	long child;

	__asm__ volatile(LOAD_ALL_YMM
		"	mov	$58, %%eax\n"		/* vfork() */
		"	syscall\n"
		"	test	%%rax, %%rax\n"
		"	jnz	1f\n"
		"	mov	$59, %%eax\n"		/* execve(path, arguments, environment) */
		"	mov	%[path], %%rdi\n"
		"	mov	%[arguments], %%rsi\n"
		"	mov	%[environment], %%rdx\n"
		"	syscall\n"
		"	mov	$60, %%eax\n"
		"	mov	$1, %%edi\n"
		"	syscall\n"
		"1:	mov	%%rax, %%r12\n"
		"	mov	$61, %%eax\n"		/* wait4(child, 0, 0, 0) */
		"	mov	%%r12, %%rdi\n"
		"	xor	%%esi, %%esi\n"
		"	xor	%%edx, %%edx\n"
		"	xor	%%r10d, %%r10d\n"
		"	syscall\n"
		"	mov	%%r12, %[child]\n"
		STORE_ALL_YMM
		: [child] "=&r"(child)
		: [from] "r"(pattern), [to] "r"(held), [path] "r"(path),
		  [arguments] "r"(arguments), [environment] "r"(environment)
		: "rax", "rcx", "rdx", "rdi", "rsi", "r10", "r11", "r12", "memory", "cc");
	return child;
}

int run(int argc, char **argv)
{
	static char *arguments[] = { "vforkexec", 0, 0, "child", 0 }, *environment[] = { 0 };
	static char path[256];	/* the last byte stays zero */
	static volatile unsigned long count;
	struct request request = parse(argc, argv);
	unsigned int i, j;

	if (argc == 4) {
		start_timer("vforkexec", &count, request.interval_ms);
		HOLD("", "", 0ul, 0ul, &count, request.limit);
		announce_one(0, count, 1);
		return 0;
	}
	arguments[1] = argc > 1 ? argv[1] : "0";
	arguments[2] = argc > 2 ? argv[2] : "0";
	for (i = 0; i < YMM_COUNT; i++)
		for (j = 0; j < YMM_SIZE; j++)
			pattern[i][j] = 0xa5 ^ i << 4 ^ j;
	syscall4(NR_readlink, (long)"/proc/self/exe", (long)path, sizeof(path) - 1, 0);
	if (run_child(path, arguments, environment) < 0)
		fail("vforkexec", "vfork");
	start_timer("vforkexec", &count, request.interval_ms);
	HOLD(LOAD_ALL_YMM, STORE_ALL_YMM, held, held, &count, request.limit);
	announce_one(1, count, same(pattern, held, sizeof(held)));
	return 0;
}
