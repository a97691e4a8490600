/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fxall: all that FXSAVE saves of x87 and SSE, loaded by one FXRSTOR: what a CPU without XSAVE has.
 * FCW 0x0a7f (53 bits, round up), FSW 0x2800 (TOP 5), all eight x87 registers valid, MXCSR 0x7f80
 * (round toward zero).  Byte j of st(i) is (i << 4) | j for j < 7, byte 7 is 0x80 | i, and its
 * exponent word 0x4000 + i; byte j of xmm[i] is 0x3c ^ (i << 4) ^ j.  FOP, FIP and FDP are 0.
 */
#include "signals.h"

#define X87_COUNT 8
#define XMM_COUNT 16

/* The FXSAVE image in 64-bit mode (SDM volume 1, table 10-2). */
struct fxsave {
	unsigned short fcw, fsw;
	unsigned char ftw, reserved_byte;
	unsigned short fop;
	unsigned long fip, fdp;
	unsigned int mxcsr, mxcsr_mask;
	struct {
		unsigned char mantissa[8];
		unsigned short exponent;
		unsigned char reserved[6];
	} st[X87_COUNT];
	unsigned char xmm[XMM_COUNT][16];
	unsigned char unused[96];
} __attribute__((aligned(16)));

static struct fxsave pattern, held;

#define LOAD "	fxrstor64 (%[from])\n"
#define STORE "	fxsave64 (%[to])\n"

static void fill(void)
{
	unsigned int i, j;

	pattern.fcw = 0x0a7f;
	pattern.fsw = 0x2800;
	pattern.ftw = 0xff;
	pattern.mxcsr = 0x7f80;
	for (i = 0; i < X87_COUNT; i++) {
		for (j = 0; j < 7; j++)
			pattern.st[i].mantissa[j] = i << 4 | j;
		pattern.st[i].mantissa[7] = 0x80 | i;
		pattern.st[i].exponent = 0x4000 + i;
	}
	for (i = 0; i < XMM_COUNT; i++)
		for (j = 0; j < 16; j++)
			pattern.xmm[i][j] = 0x3c ^ i << 4 ^ j;
}

static int intact(void)
{
	unsigned int i;
	int same_stack = 1;

	for (i = 0; i < X87_COUNT; i++)
		same_stack &= same(&pattern.st[i], &held.st[i], 10);
	return same_stack && held.fcw == pattern.fcw && held.fsw == pattern.fsw &&
	       held.ftw == pattern.ftw && held.mxcsr == pattern.mxcsr &&
	       same(pattern.xmm, held.xmm, sizeof(held.xmm));
}

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	static volatile unsigned long count;

	fill();
	start_timer("fxall", &count, request.interval_ms);
	HOLD(LOAD, STORE, &pattern, &held, &count, request.limit);
	announce("fxall", syscall4(NR_gettid, 0, 0, 0, 0), count, intact());
	return 0;
}
