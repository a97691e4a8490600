/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * heartbeat: sleeps for the interval again and again, until there is a file /tmp/end, and takes no
 * signal; a count is not regarded. Its line has the longest time between two beats, by the guest's
 * own clock (CLOCK_MONOTONIC):
 * guest: heartbeat pid= beats= longest_ms= ok
 */
#include "guest.h"

#define CLOCK_MONOTONIC 1
#define NR_access 21
#define NR_clock_gettime 228

static unsigned long now_ms(void)
{
	struct timespec now;

	if (syscall4(NR_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0, 0))
		fail("heartbeat", "clock_gettime");
	return now.seconds * 1000 + now.nanoseconds / 1000000;
}

int run(int argc, char **argv)
{
	struct request request = parse(argc, argv);
	struct timespec pause = milliseconds(request.interval_ms);
	unsigned long beats = 0, longest = 0, last = now_ms();
	struct line line;

	while (syscall4(NR_access, (long)"/tmp/end", 0, 0, 0)) {
		unsigned long now;

		syscall4(NR_nanosleep, (long)&pause, 0, 0, 0);
		now = now_ms();
		if (now - last > longest)
			longest = now - last;
		last = now;
		beats++;
	}
	begin(&line, "heartbeat");
	put_field(&line, "pid", syscall4(NR_getpid, 0, 0, 0, 0));
	put_field(&line, "beats", beats);
	put_field(&line, "longest_ms", longest);
	put_verdict(&line, 1);
	return 0;
}
