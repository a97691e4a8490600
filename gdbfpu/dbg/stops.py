# SPDX-License-Identifier: GPL-2.0-or-later
"""Why the kernel stopped while a trace was on, as a line for the user."""

from __future__ import annotations

from typing import Any

import gdb

from gdbfpu.dbg.breakpoints import ProbeBreakpoint
from gdbfpu.dbg.point import Point
from gdbfpu.text.counted import counted
from gdbfpu.trace.tracer import Tracer

__all__ = ("reason",)

_INTERRUPTS = ("SIGINT", "SIGTRAP")  # how QEMU's gdbstub and KGDB report a ^C


def reason(event: Any, tracer: Tracer, fast: bool) -> str:
    """Return the line for the stop that `event` reports, empty if there is nothing to say.

    A trace stops the kernel at its limit, and with `--stop` at each hit. The user stops it with
    ^C, which may come while a hit is being recorded. A `fast` trace has changed the kernel's text.
    """
    if tracer.full:
        off = "`fpu-trace off` restores the kernel" if fast else "tracing is off"
        return f"limit of {counted(tracer.options.limit, 'hit')} reached; {off}"
    if hit := _stayed(event, tracer):
        return f"stopped at hit {hit}; tracing is on. `continue` resumes the kernel"
    if _interrupted(event):
        return f"interrupted: {counted(tracer.seq, 'hit')}, tracing is on"
    return ""


def _stayed(event: Any, tracer: Tracer) -> int:
    """Return the number of the hit at which `--stop` keeps the kernel stopped, 0 for none."""
    if not tracer.options.stop or not isinstance(event, gdb.BreakpointEvent):
        return 0
    return max((p.hit for p in event.breakpoints if isinstance(p, ProbeBreakpoint)), default=0)


def _interrupted(event: Any) -> bool:
    if isinstance(event, gdb.BreakpointEvent):
        return any(isinstance(point, Point) for point in event.breakpoints)
    return isinstance(event, gdb.SignalEvent) and event.stop_signal in _INTERRUPTS
