# SPDX-License-Identifier: GPL-2.0-or-later
"""Have the CPU that is stopped in KGDB execute single instructions while the others are held.

A plain step of KGDB lets the other CPUs run. Their hits then answer in place of the step, and the
kernel hangs. Three measures together make a step sound:

- interrupts are off for the step (RFLAGS.IF);
- `kgdb_single_step` is 1, so KGDB keeps the CPUs that it holds;
- a CPU that waits to report a hit of its own waits as a slave meanwhile (`slave_states`).

Everything is checked before anything is written, and compared after it is put back. Source:
kgdb_cpu_enter() in kernel/debug/debug_core.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Callable

import gdb

from gdbfpu.dbg.interruptible import postponed
from gdbfpu.dbg.packets import EFLAGS, Wire
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.errors import GdbFpuError
from gdbfpu.kernel.kgdb import STEPPING, knows_cpus, slave_states
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.probes.asking import Site
from gdbfpu.target import read_u32

__all__ = ("HeldCpu", "LostKernel", "can_hold", "held_cpu", "step_over", "unless_lost")

_TF, _IF, _DF, _RF = (1 << bit for bit in (8, 9, 10, 16))  # RFLAGS, Intel SDM volume 1, 3.4.3
_OURS = _TF | _IF | _DF | _RF
_STEPPED = "T05"  # a stop reply with SIGTRAP


class LostKernel(GdbFpuError):
    """The kernel cannot be put back as it was; the message says that it must not go on."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: do not continue this kernel, restart the machine")


class HeldCpu:
    """The CPU that is stopped in KGDB, which executes what it is told.

    `values` are its registers now. `wanted` are those with which it leaves.
    """

    def __init__(self, target: GdbTarget, kernel: Kernel, wire: Wire) -> None:
        self.wire = wire
        self._target = target
        self._stepping = kernel.symbol(STEPPING)
        self._thread = wire.send("qC").removeprefix("QC")
        self.values = wire.registers()
        self.wanted = dict(self.values)

    def execute(self, site: Site, inputs: Mapping[str, int]) -> Mapping[str, int]:
        """Return the registers after the instruction at `site`, executed with `inputs`.

        Raises GdbFpuError if it is not there any more, if the CPU is not right behind it then, or
        if a register has changed that it does not write.
        """
        if self._target.read_memory(site.address, len(site.code)) != site.code:
            raise GdbFpuError(f"the kernel's text at {site.address:#x} has changed")
        self.set({**inputs, "rip": site.address})
        expected = {"rip": site.address + len(site.code)}
        expected.update((n, v) for n, v in self.values.items() if n not in ("rip", *site.writes))
        self.step()
        for name, value in expected.items():
            if name != EFLAGS and self.values[name] != value:
                raise GdbFpuError(
                    f"after the instruction at {site.address:#x}, {name} is "
                    f"{self.values[name]:#x}, not {value:#x}"
                )
        return self.values

    def set(self, values: Mapping[str, int]) -> None:
        """Set those of the registers that differ from `values`."""
        for name, value in values.items():
            if self.values[name] != value:
                self.wire.write(name, value)
                self.values[name] = value

    def take(self) -> None:
        """Turn interrupts and traps off. KGDB refuses if another thread is selected."""
        flags = self.values[EFLAGS] & ~_OURS
        try:
            self.wire.write(EFLAGS, flags)
        except GdbFpuError as error:
            raise GdbFpuError(
                f"select the thread where the kernel stopped first ({error})"
            ) from error
        self.values[EFLAGS] = flags

    def step(self) -> None:
        """Execute the instruction that rip points to; raise LostKernel if another CPU answers."""
        self.set({EFLAGS: self.values[EFLAGS] & ~_OURS})
        self._target.write_memory(self._stepping, (1).to_bytes(4, "little"))
        try:
            reply = self.wire.send("s")
        except GdbFpuError as error:
            raise LostKernel(f"a CPU does not come back from a step ({error})") from error
        thread = dict(part.partition(":")[::2] for part in reply[3:].split(";")).get("thread", "")
        if not reply.startswith(_STEPPED) or not _same(thread, self._thread):
            raise LostKernel(f"in place of a step, the stub answers {reply[:80]!r}")
        self.values = self.wire.registers()

    def leave(self) -> None:
        """Set the registers that are wanted; raise LostKernel if they cannot be set."""
        try:
            self.set(self.wanted)
            found = self.wire.registers()
        except GdbFpuError as error:
            raise LostKernel(f"a CPU's registers cannot be put back ({error})") from error
        wrong = [name for name, value in self.wanted.items() if found[name] != value]
        if wrong:
            raise LostKernel(f"a CPU's {', '.join(wrong)} cannot be put back")

    def keep(self) -> None:
        """Let the CPU leave with its present registers; flags of ours are as they were."""
        flags = (self.values[EFLAGS] & ~_OURS) | (self.wanted[EFLAGS] & _OURS)
        self.wanted = {**self.values, EFLAGS: flags}


def _same(one: str, other: str) -> bool:
    """Return whether two ids, in hexadecimal, are one thread's: idle tasks have negative ones."""
    try:
        return (int(one, 16) - int(other, 16)) & 0xFFFFFFFF == 0
    except ValueError:
        return False


@contextmanager
def held_cpu(target: GdbTarget, kernel: Kernel) -> Iterator[HeldCpu]:
    """Hold all CPUs of a kernel in KGDB, one of which executes instructions meanwhile.

    Afterwards its registers are those in `HeldCpu.wanted`, and all that was written is put back. An
    error of the block of code says that, too. Raises GdbFpuError before anything is written if this
    kernel or this moment does not allow it.
    """
    wire = Wire()
    cpu = HeldCpu(target, kernel, wire)
    states = tuple(slave_states(kernel))
    with postponed(), wire.patient():
        try:
            cpu.take()
            with unless_lost(lambda: _put_back(target, cpu, states)):
                for place, _, slave in states:
                    target.write_memory(place, slave.to_bytes(4, "little"))
                yield cpu
        except LostKernel:
            raise
        except GdbFpuError as error:
            raise GdbFpuError(f"{error}. The kernel is as it was, and can go on") from error


@contextmanager
def unless_lost(put_back: Callable[[], None]) -> Iterator[None]:
    """Call `put_back` after the block of code, unless that raised LostKernel."""
    lost = False
    try:
        yield
    except LostKernel:
        lost = True
        raise
    finally:
        if not lost:
            put_back()


def can_hold(target: GdbTarget, kernel: Kernel) -> bool:
    """Return whether this kernel and this GDB have what `held_cpu` needs."""
    if not target.stub.in_kernel or target.symbol_address(STEPPING) is None:
        return False
    with suppress(GdbFpuError):
        Wire()
        return knows_cpus(kernel)
    return False


def step_over(target: GdbTarget, kernel: Kernel, address: int) -> None:
    """Step over the breakpoint at `address`, where the CPU is stopped, and tell GDB.

    If the CPU is no longer there, this only tells GDB: so it may be called again. Raises
    GdbFpuError, and LostKernel if the kernel must not go on.
    """
    with held_cpu(target, kernel) as cpu:
        if cpu.values["rip"] == address:
            cpu.wire.expect_ok(f"z0,{address:x},1")
            with unless_lost(lambda: _plant(cpu.wire, address)):
                cpu.step()
                cpu.keep()
    gdb.execute("maintenance flush register-cache", False, True)


def _plant(wire: Wire, address: int) -> None:
    """Plant the breakpoint at `address` again; raise GdbFpuError."""
    try:
        wire.expect_ok(f"Z0,{address:x},1")
    except GdbFpuError as error:
        raise GdbFpuError(f"its breakpoint is gone, turn the trace off and on ({error})") from error


def _put_back(target: GdbTarget, cpu: HeldCpu, states: Iterable[tuple[int, int, int]]) -> None:
    """Put back the registers, then each CPU's `exception_state`; raise LostKernel if that fails.

    `states` are those of slave_states().
    """
    cpu.leave()
    for place, before, slave in states:
        try:
            found = read_u32(target, place)
            if found == slave:
                target.write_memory(place, before.to_bytes(4, "little"))
        except GdbFpuError as error:
            raise LostKernel(f"a CPU's exception_state cannot be put back ({error})") from error
        if found not in (before, slave):
            raise LostKernel(f"a CPU's exception_state is {found:#x}, not {slave:#x}")
