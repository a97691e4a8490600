/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mxcsronly: MXCSR 0x7f80 (round toward zero) and nothing else: no other register of the FPU is
 * touched.  A control register that a program set is state of its own: it uses the FPU.
 */
#include "signals.h"

static const unsigned int wanted = 0x7f80;
static unsigned int held;

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	static volatile unsigned long count;

	start_timer("mxcsronly", &count, request.interval_ms);
	HOLD("	ldmxcsr	(%[from])\n", "	stmxcsr	(%[to])\n", &wanted, &held, &count, request.limit);
	announce("mxcsronly", syscall4(NR_gettid, 0, 0, 0, 0), count, held == wanted);
	return 0;
}
