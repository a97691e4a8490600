/* SPDX-License-Identifier: GPL-2.0-or-later */
/* intonly: takes signals and never executes an instruction of the x87, SSE or AVX units. */
#include "signals.h"

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	static volatile unsigned long count;

	start_timer("intonly", &count, request.interval_ms);
	HOLD("", "", 0ul, 0ul, &count, request.limit);
	announce("intonly", syscall4(NR_gettid, 0, 0, 0, 0), count, 1);
	return 0;
}
