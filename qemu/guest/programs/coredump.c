/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * coredump: takes its signals, announces them, loads its pattern again and dies of SIGABRT, which
 * has no handler: the kernel writes a core file.  Byte j of ymm[i] is
 * 0x5a ^ (i << 4) ^ (j & 15), in the upper half (j >= 16) XOR 0xff.
 */
#include "signals.h"
#include "ymm.h"

static unsigned char pattern[YMM_COUNT][YMM_SIZE], held[YMM_COUNT][YMM_SIZE];

static _Noreturn void die_with_pattern(long pid)
{
	__asm__ volatile(LOAD_ALL_YMM
		"	syscall\n"
		:: [from] "r"(pattern), "a"(NR_kill), "D"(pid), "S"(SIGABRT)
		: "rcx", "r11", "memory");
	fail("coredump", "kill");
}

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	static volatile unsigned long count;
	long pid = syscall4(NR_getpid, 0, 0, 0, 0);
	unsigned int i, j;

	for (i = 0; i < YMM_COUNT; i++)
		for (j = 0; j < YMM_SIZE; j++)
			pattern[i][j] = 0x5a ^ (i << 4) ^ (j & 15) ^ (j >= 16 ? 0xff : 0);
	start_timer("coredump", &count, request.interval_ms);
	HOLD(LOAD_ALL_YMM, STORE_ALL_YMM, pattern, held, &count, request.limit);
	announce("coredump", pid, count, same(pattern, held, sizeof(pattern)));
	die_with_pattern(pid);
}
