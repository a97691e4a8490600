# SPDX-License-Identifier: GPL-2.0-or-later
"""What `fpu-trace on --fast` asks for, and which options do not go with it."""

from __future__ import annotations

from gdbfpu.commands.trace_options import TraceOn
from gdbfpu.errors import UsageError
from gdbfpu.fast.options import MAX_ROOM, Recording

__all__ = ("recording_of",)

_TABLE, _RING = 4096, 65536  # rows, hits
_LEAST = 16


def recording_of(options: TraceOn) -> Recording | None:
    """Return how the kernel is to record hits itself, None if it is not to.

    Raises UsageError for options that do not go together, and says what to use.
    """
    if not options.fast:
        if options.rows or options.lossy:
            raise UsageError("--rows and --lossy are for --fast")
        return None
    for given, name, why in (
        (options.state == "full", "--state full", "it records headers only; use --state header"),
        (options.audit, "--audit", "an audit needs a stop at each call; leave --fast out"),
        (options.backtrace > 1, "--backtrace", "it records one caller; use --backtrace 1"),
        (bool(options.condition), "--if", "GDB needs a stop to test it; use --pid or --comm"),
        (options.stop, "--stop", "it never stops at a hit; leave one of them out"),
        (options.step, "--step", "it never steps; leave one of them out"),
        (options.top, "--top", "hits are read when the kernel stops; use fpu-report"),
    ):
        if given:
            raise UsageError(f"{name} does not go with --fast: {why}")
    ring = options.fast == "ring"
    if options.out is not None and not ring:
        raise UsageError("--out needs each hit, and a table counts them: use --fast ring")
    if options.lossy and (not ring or options.limit):
        raise UsageError("--lossy is for --fast ring without a --limit")
    room = options.rows or (_RING if ring else _TABLE)
    if not _LEAST <= room <= MAX_ROOM or room & (room - 1):
        raise UsageError(f"--rows {room}: give a power of two from {_LEAST} to {MAX_ROOM}")
    return Recording(ring, room, options.lossy)
