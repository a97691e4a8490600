# SPDX-License-Identifier: GPL-2.0-or-later
"""Let a kernel in KGDB settle before a debugger leaves it."""

from __future__ import annotations

import contextlib

import gdb

from gdbfpu.dbg.target import GdbTarget

__all__ = ("OFF", "hook_detach", "run_to_tick")

OFF = "fpu-trace off"
"""The command that takes probes out, for GDB to run before it detaches."""

# Called under jiffies_lock, by one CPU at a time (kernel/time/tick-sched.c, timekeeping.c).
_TICK = ("calc_global_load", "do_timer")


def run_to_tick(target: GdbTarget) -> None:
    """Let the kernel run, without probes, to its next tick.

    A CPU may be on its way into KGDB with a probe's trap, which no variable tells yet. When
    the debugger detaches, KGDB forgets which breakpoints it took out, and would keep that
    CPU for a debugger that is gone. Until then it lets it go on.
    """
    places = (target.symbol_address(name) for name in _TICK)
    address = next((place for place in places if place is not None), None)
    with contextlib.suppress(gdb.error):  # the kernel is gone
        if address is not None:
            tick = gdb.Breakpoint(f"*{address:#x}", internal=True)
            tick.silent = True
            gdb.execute("continue", False, True)
            tick.delete()


def hook_detach(command: str) -> None:
    """Have GDB run `command` before it detaches, unless the person has a hook there already."""
    body = ""
    with contextlib.suppress(gdb.error):  # there is no hook
        shown = gdb.execute("show user hook-detach", False, True)
        body = "".join(line.strip() for line in shown.splitlines()[1:])
    if body in ("", OFF):
        gdb.execute(f"define hook-detach\n{command}\nend")
