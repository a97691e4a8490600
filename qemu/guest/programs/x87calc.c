/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x87calc: FCW 0x0b7f (round up); from st(0): +inf, -0.0, -2.25, 1.5, pi; TOP 3.
 * The infinity is 1/0, so FSW has the zero-divide flag: 0x1804.  FOP, FIP and FDP: not defined.
 */
#include "signals.h"

#define SAVED_CONTROL_WORD 0
#define SAVED_STATUS_WORD 4
#define SAVED_REGISTERS 28
#define SAVED_SIZE 108

#define CONTROL_WORD 0x0b7f

static const struct {
	unsigned int one_and_a_half, minus_two_and_a_quarter, zero;
	unsigned short control_word;
} operands = { 0x3fc00000, 0xc0100000, 0, CONTROL_WORD };
static const unsigned char expected[5][10] = {
	{ 0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x7f },
	{ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80 },
	{ 0, 0, 0, 0, 0, 0, 0, 0x90, 0x00, 0xc0 },
	{ 0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0x3f },
	{ 0x35, 0xc2, 0x68, 0x21, 0xa2, 0xda, 0x0f, 0xc9, 0x00, 0x40 },
};
static unsigned char held[SAVED_SIZE];

#define LOAD										\
	"	fninit\n"								\
	"	fldcw	12(%[from])\n"							\
	"	fldpi\n"								\
	"	flds	(%[from])\n"							\
	"	flds	4(%[from])\n"							\
	"	fldz\n"									\
	"	fchs\n"									\
	"	fld1\n"									\
	"	fdivs	8(%[from])\n"
#define STORE "	fnsave	(%[to])\n"

static int intact(void)
{
	return (held[SAVED_CONTROL_WORD] | held[SAVED_CONTROL_WORD + 1] << 8) == CONTROL_WORD &&
	       (held[SAVED_STATUS_WORD] | held[SAVED_STATUS_WORD + 1] << 8) == 0x1804 &&
	       same(held + SAVED_REGISTERS, expected, sizeof(expected));
}

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	static volatile unsigned long count;

	start_timer("x87calc", &count, request.interval_ms);
	HOLD(LOAD, STORE, &operands, held, &count, request.limit);
	announce("x87calc", syscall4(NR_gettid, 0, 0, 0, 0), count, intact());
	return 0;
}
