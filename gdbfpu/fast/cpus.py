# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the stopped CPUs are: whether one of them is between instructions that a jump replaces.

On a kernel that does not preempt itself, only the tasks that run now can be there: at their
program counter, or below it on their stack, where an interrupt saved it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbfpu.errors import GdbFpuError, MissingSymbol
from gdbfpu.fast.trampoline import Diverted
from gdbfpu.kernel.kgdb import held
from gdbfpu.kernel.running import stack_size
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.target import read_u64

__all__ = ("Where", "kgdb_cpus", "obstacles", "stub_cpus")

_USER = 3  # the privilege level in CS


@dataclass(frozen=True)
class Where:
    """A CPU's program counter, stack pointer, and whether it runs in user mode."""

    cpu: int
    ip: int
    sp: int
    user: bool


def kgdb_cpus(kernel: Kernel, master: int) -> tuple[Where, ...]:
    """Return where the CPUs are that KGDB holds, all but the `master`, which the debugger sees.

    Raises GdbFpuError if one is not held.
    """
    info = kernel.symbol("kgdb_info")
    layouts = kernel.layouts
    size = layouts.struct("debuggerinfo_struct").size
    registers = layouts.offset("debuggerinfo_struct", "debuggerinfo")
    ip, sp, cs = (layouts.offset("pt_regs", name) for name in ("ip", "sp", "cs"))
    found = []
    for cpu in kernel.online_cpus():
        if cpu == master:
            continue
        if not held(kernel, cpu):
            raise GdbFpuError(f"KGDB does not hold CPU {cpu}")
        regs = read_u64(kernel.target, info + cpu * size + registers)
        values = [read_u64(kernel.target, regs + offset) for offset in (ip, sp, cs)]
        found.append(Where(cpu, values[0], values[1], values[2] & _USER == _USER))
    return tuple(found)


def stub_cpus(kernel: Kernel) -> tuple[Where, ...]:
    """Return where all CPUs are, as a stub outside the kernel shows them; raise GdbFpuError."""
    machine = kernel.stopped()
    found = []
    for cpu in kernel.online_cpus():
        ip, sp, cs = (machine.control_register(cpu, name) for name in ("rip", "rsp", "cs"))
        if ip is None or sp is None or cs is None:
            raise GdbFpuError(f"the stub does not show CPU {cpu}")
        found.append(Where(cpu, ip, sp, cs & _USER == _USER))
    return tuple(found)


def obstacles(
    kernel: Kernel, cpus: Sequence[Where], functions: Sequence[Diverted]
) -> tuple[str, ...]:
    """Return why no jump may be written now, a line for each CPU that is in the way.

    Raises GdbFpuError if it cannot be known.
    """
    inside = {at for one in functions if one.window.instructions > 1 for at in one.window.inside}
    if not inside:
        return ()
    found = []
    for where in cpus:
        if not where.user and (why := _obstacle(kernel, where, inside)):
            found.append(f"CPU {where.cpu} {why}")
    return tuple(found)


def _obstacle(kernel: Kernel, where: Where, inside: set[int]) -> str:
    if where.ip in inside:
        return "is where a jump is to be written"
    size = stack_size(kernel.target)
    if not size:
        raise MissingSymbol("init_stack")
    stack = _stack(kernel, where.cpu)
    if not stack <= where.sp < stack + size:
        return "handles an interrupt"
    length = stack + size - where.sp
    data = kernel.target.read_memory(where.sp, length)
    words = {int.from_bytes(data[at : at + 8], "little") for at in range(0, length - 7, 8)}
    return "was interrupted where a jump is to be written" if words & inside else ""


def _stack(kernel: Kernel, cpu: int) -> int:
    """Return the lowest address of the stack of the task that CPU number `cpu` runs."""
    task = kernel.current_task(cpu)
    return read_u64(kernel.target, task + kernel.layouts.offset("task_struct", "stack"))
