# SPDX-License-Identifier: GPL-2.0-or-later
"""Why the kernel stopped while a trace was on, as a line for the user."""

from __future__ import annotations

from typing import Any

import gdb

from gdbfpu.dbg.breakpoints import ProbeBreakpoint
from gdbfpu.dbg.point import Point
from gdbfpu.target import Machine
from gdbfpu.text.counted import counted
from gdbfpu.trace.tracer import Tracer

__all__ = ("reason",)

_KGDB_ENTRY = "kgdb_breakpoint"  # where a SysRq key stops a kernel with KGDB, or a panic
_LENGTH = 64  # bytes in which this function's INT3 is


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
    if _interrupted(event) or _entered(tracer.model.kernel.stopped()):
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
    return isinstance(event, gdb.SignalEvent) and event.stop_signal == "SIGINT"


def _entered(machine: Machine) -> bool:
    """Return whether the kernel entered KGDB itself. GDB reports that as it does the end of a step.

    The program counter is behind the INT3 in this function.
    """
    entry = machine.symbol_address(_KGDB_ENTRY)
    at = machine.register("rip") or 0
    return entry is not None and machine.stub.in_kernel and 0 <= at - entry < _LENGTH
