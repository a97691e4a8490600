/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * audiod: MXCSR 0xffc0 (flush to zero, denormals are zero, round toward zero);
 * xmm7 is the doubles 3.14159265358979, -1e300; xmm12 the floats 1, -2.5, 1e-40, 6.02e23.
 */
#include "signals.h"

static const struct {
	double low[2];
	float high[4];
	unsigned int mxcsr;
} pattern = { { 3.14159265358979, -1e300 }, { 1, -2.5f, 1e-40f, 6.02e23f }, 0xffc0 };
static unsigned char held[36];

#define LOAD										\
	"	ldmxcsr	32(%[from])\n"							\
	"	movdqu	(%[from]), %%xmm7\n"						\
	"	movdqu	16(%[from]), %%xmm12\n"
#define STORE										\
	"	movdqu	%%xmm7, (%[to])\n"						\
	"	movdqu	%%xmm12, 16(%[to])\n"						\
	"	stmxcsr	32(%[to])\n"

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	static volatile unsigned long count;

	start_timer("audiod", &count, request.interval_ms);
	HOLD(LOAD, STORE, &pattern, held, &count, request.limit);
	announce("audiod", syscall4(NR_gettid, 0, 0, 0, 0), count,
		 same(&pattern, held, sizeof(held)));
	return 0;
}
