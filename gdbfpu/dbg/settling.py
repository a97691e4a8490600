# SPDX-License-Identifier: GPL-2.0-or-later
"""Let a kernel in KGDB settle before a debugger leaves it."""

from __future__ import annotations

import contextlib

import gdb

from gdbfpu.dbg.interruptible import Step
from gdbfpu.dbg.point import Host, Point
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.dbg.terminal import run_kernel
from gdbfpu.errors import GdbFpuError
from gdbfpu.kernel.kgdb import waiting_cpus
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.target import Memory, read_u32

__all__ = ("OFF", "drain", "hook_detach", "run_to_tick")

OFF = "fpu-trace off"
"""The command that removes the probes. GDB runs it before it detaches."""

# Called under jiffies_lock, by one CPU at a time (kernel/time/tick-sched.c, timekeeping.c).
_TICK = ("calc_global_load", "do_timer")
_TICKS = 2
_NO_CPU = (1 << 32) - 1
_MOST_STOPS = 20
_MOST_DRAINED = 1000  # the most pending hits to take before the probes are removed


class _Tick(Point):
    """A breakpoint on the tick; `settled` is true after enough ticks, if no CPU waits in KGDB."""

    def __init__(self, target: GdbTarget, entry: int, host: Host, kernel: Kernel) -> None:
        from gdbfpu.probes.resume import (
            choose,  # imports capstone, which is slow
        )

        self.settled = False
        resume = choose(target.function_code(entry), entry, ())
        place = resume.address if resume else entry
        super().__init__(target, kernel, "the tick", place, resume, host)

    def _steps(self) -> tuple[Step, ...]:
        return (self._settle,)

    def _settle(self) -> bool:
        """Stop at a tick if no CPU waits: from the second tick on, or the first if GDB steps."""
        enough = self.passes >= _TICKS or self.resume is None
        self.settled = enough and not waiting_cpus(self._kernel)
        return self.settled


def run_to_tick(target: GdbTarget, host: Host, kernel: Kernel) -> None:
    """Let the kernel run, without probes, until two ticks have passed and no CPU waits in KGDB.

    A CPU may be on its way into KGDB with a probe's trap, and no variable shows that yet. Until
    the debugger detaches, KGDB knows which breakpoints it removed, and lets that CPU go on. When
    the debugger detaches, KGDB forgets these breakpoints, and would hold the CPU for a debugger
    that is gone. One tick is not enough: the first tick is overdue after a stop, so it comes as
    soon as the kernel runs, together with such a trap.
    """
    places = (target.symbol_address(name) for name in _TICK)
    address = next((place for place in places if place is not None), None)
    with contextlib.suppress(gdb.error, GdbFpuError):  # the kernel is gone
        if address is not None and not _panicked(target):
            tick = _Tick(target, address, host, kernel)
            try:
                for _ in range(_MOST_STOPS):  # a trap of a probe that is gone stops it, too
                    run_kernel()
                    if tick.settled:
                        break
            finally:
                tick.delete()


def drain(kernel: Kernel) -> None:
    """Let each CPU that waits to report a hit report it, then leave the kernel stopped.

    The kernel runs until all have reported. This must happen before the probes are removed:
    afterwards, such a CPU could not leave KGDB. See `gdbfpu.kernel.kgdb`.
    """
    with contextlib.suppress(gdb.error, GdbFpuError):  # the kernel and its hits are gone
        for _ in range(_MOST_DRAINED):
            if not waiting_cpus(kernel) or _panicked(kernel.target):
                break
            run_kernel()


def _panicked(memory: Memory) -> bool:
    """Return whether the kernel has panicked: if it runs on, nothing stops it any more.

    `panic_cpu` (atomic_t, kernel/panic.c, since 4.5) is -1 until then.
    """
    address = memory.symbol_address("panic_cpu")
    return address is not None and read_u32(memory, address) != _NO_CPU


def hook_detach(command: str) -> None:
    """Have GDB run `command` before it detaches, unless the user already has a hook there."""
    body = ""
    with contextlib.suppress(gdb.error):  # there is no hook
        shown = gdb.execute("show user hook-detach", False, True)
        body = "".join(line.strip() for line in shown.splitlines()[1:])
    if body in ("", OFF):
        gdb.execute(f"define hook-detach\n{command}\nend")
