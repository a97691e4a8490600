# SPDX-License-Identifier: GPL-2.0-or-later
"""What a debugger that died has left in a stub: breakpoints, and CPUs that have run into them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import gdb

from gdbfpu.dbg.kernel_text import Rows, kgdb_rows
from gdbfpu.dbg.point import Host
from gdbfpu.dbg.settling import run_to_tick
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.errors import GdbFpuError
from gdbfpu.kernel.kgdb import waiting_cpus
from gdbfpu.kernel.tasks import Kernel

__all__ = ("clear_stub",)

_AT_ONCE = 16  # rows of the list in a packet
_INT3 = b"\xcc"


def clear_stub(target: GdbTarget, kernel: Kernel, host: Host) -> tuple[str, ...]:
    """Have the stub forget the breakpoints of a debugger that died; return a line on what was done.

    Your own breakpoints are not in the stub while the kernel is stopped.
    """
    if not target.stub.in_kernel:
        _forget_breakpoints(target)
        return ()
    with suppress(GdbFpuError):  # no debugging information describes KGDB's list
        return _leave_breakpoints(target, kernel, host)
    return ()


def _forget_breakpoints(target: GdbTarget) -> None:
    """Have QEMU forget them. When a debugger connects, QEMU 7.2 does so for one CPU alone."""
    if gdb.parameter("breakpoint always-inserted"):
        return
    stopped = target.stopped_thread()
    with suppress(gdb.error):  # there is no stub: GDB debugs a program
        for thread in (*(t for t in target.threads() if t != stopped), stopped):
            gdb.execute(f"maintenance packet Hcp1.{thread.lwp:x}", False, True)
            gdb.execute("maintenance packet ?", False, True)


def _leave_breakpoints(target: GdbTarget, kernel: Kernel, host: Host) -> tuple[str, ...]:
    """Let each CPU execute the instruction of the breakpoint that it has run into.

    KGDB has removed the breakpoints, but such a CPU is behind the INT3. That of the stopped CPU is
    in `rip`. Of others, KGDB sees to it itself if it knows the breakpoints as removed ones. Where
    one CPU has run into a breakpoint, others may be on their way into KGDB: no variable shows them.
    """
    rows = kgdb_rows()
    places = dict(_places(target, rows))
    rip = target.register("rip") or 0
    behind = rip - 1 in places and target.read_memory(rip - 1, 1) != _INT3
    if behind:
        target.write_register("rip", rip - 1)
    if behind or waiting_cpus(kernel):
        for row in places.values():
            target.write_memory(row + rows.state, rows.removed)
        run_to_tick(target, host, kernel)
    return ("set the stopped CPU back to the breakpoint that it had run into",) if behind else ()


def _places(target: GdbTarget, rows: Rows) -> Iterator[tuple[int, int]]:
    """Yield where breakpoints were, each with the address of its row; rows are used in order."""
    for first in range(0, rows.rows, _AT_ONCE):
        start = rows.address + first * rows.size
        data = target.read_memory(start, min(_AT_ONCE, rows.rows - first) * rows.size)
        for at in range(0, len(data), rows.size):
            place = int.from_bytes(data[at + rows.place :][:8], "little")
            if not place:
                return
            yield place, start + at
