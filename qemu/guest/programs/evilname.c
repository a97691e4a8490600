/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * evilname: its task name is "evil", ESC "[31m", BEL, newline, 0xff, 0xfe: control bytes, an ANSI
 * escape, invalid UTF-8.  Every byte of xmm[i], i < 8, is 0xe0 | i.
 */
#include "signals.h"
#include "xmm.h"

#define PR_SET_NAME 15

static const char name[16] = "evil\033[31m\a\n\xff\xfe";
static unsigned char pattern[XMM_COUNT][XMM_SIZE], held[XMM_COUNT][XMM_SIZE];

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	static volatile unsigned long count;
	unsigned int i, j;

	for (i = 0; i < XMM_COUNT; i++)
		for (j = 0; j < XMM_SIZE; j++)
			pattern[i][j] = 0xe0 | i;
	if (syscall4(NR_prctl, PR_SET_NAME, (long)name, 0, 0))
		fail("evilname", "prctl");
	start_timer("evilname", &count, request.interval_ms);
	HOLD(LOAD_LOW_XMM, STORE_LOW_XMM, pattern, held, &count, request.limit);
	announce("evilname", syscall4(NR_gettid, 0, 0, 0, 0), count,
		 same(pattern, held, sizeof(pattern)));
	return 0;
}
