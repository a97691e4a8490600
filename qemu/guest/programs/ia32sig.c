/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ia32sig: a 32-bit program, which gets ia32 signal frames.  Byte j of xmm[i], i < 8, is
 * 0x80 + (i << 4) + j modulo 256; MXCSR 0x9f80 (flush to zero); FCW 0x027f (double precision);
 * st(0) is -1.0, st(1) log2(10); TOP 6, FSW 0x3000.  FOP, FIP and FDP: not defined.
 */
#include "signals.h"
#include "xmm.h"

struct image {
	unsigned char xmm[XMM_COUNT][XMM_SIZE];
	unsigned int mxcsr;
	unsigned int control_word;
};

static const unsigned char expected_st[2][10] = {
	{ 0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0xbf },
	{ 0xfe, 0x8a, 0x1b, 0xcd, 0x4b, 0x78, 0x9a, 0xd4, 0x00, 0x40 },
};
static struct image pattern;
static struct {
	struct image image;
	unsigned char fsave[108];
} held;

#define LOAD										\
	LOAD_LOW_XMM									\
	"	ldmxcsr	128(%[from])\n"							\
	"	fninit\n"								\
	"	fldl2t\n"								\
	"	fld1\n"									\
	"	fchs\n"									\
	"	fldcw	132(%[from])\n"
#define STORE										\
	STORE_LOW_XMM									\
	"	stmxcsr	128(%[to])\n"							\
	"	fnstcw	132(%[to])\n"							\
	"	fnsave	136(%[to])\n"

static int intact(void)
{
	return same(&pattern, &held.image, sizeof(pattern)) &&
	       (held.fsave[4] | held.fsave[5] << 8) == 0x3000 &&
	       same(held.fsave + 28, expected_st, sizeof(expected_st));
}

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	static volatile unsigned long count;
	unsigned int i, j;

	for (i = 0; i < XMM_COUNT; i++)
		for (j = 0; j < XMM_SIZE; j++)
			pattern.xmm[i][j] = 0x80 + (i << 4) + j;
	pattern.mxcsr = 0x9f80;
	pattern.control_word = 0x027f;
	start_timer("ia32sig", &count, request.interval_ms);
	HOLD(LOAD, STORE, &pattern, &held, &count, request.limit);
	announce("ia32sig", syscall4(NR_gettid, 0, 0, 0, 0), count, intact());
	return 0;
}
