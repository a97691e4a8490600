# SPDX-License-Identifier: GPL-2.0-or-later
"""Divert functions of the running kernel into trampolines, and undo it.

Everything that is needed is checked before anything is written. The order is: memory, code, the
journal on disk, and the jumps last, all in one stop; backwards to undo it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from gdbfpu.dbg.borrowed import Borrowed, borrowed, find_call
from gdbfpu.dbg.fast_memory import KernelMemory
from gdbfpu.dbg.kernel_text import Change, write_text
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.errors import GdbFpuError
from gdbfpu.fast.clock import Clock
from gdbfpu.fast.cpus import Where, kgdb_cpus, obstacles, stub_cpus
from gdbfpu.fast.journal import Entry, Journal, write_journal
from gdbfpu.fast.layout import Area, Control
from gdbfpu.fast.loan import Lend, write_loan
from gdbfpu.fast.options import Recording
from gdbfpu.fast.places import Places
from gdbfpu.fast.recorder import Filters
from gdbfpu.fast.trampoline import Diverted, Program, assemble, code_pages, patched
from gdbfpu.kernel.kgdb import waiting_cpus
from gdbfpu.kernel.tasks import Kernel

__all__ = ("FastPlan", "Installed", "install", "restore_text", "take_out")

_PAUSE = 20  # ms for which the kernel runs between two looks at its CPUs
_TRIES = 100
_CALIBRATION = 500  # ms


@dataclass(frozen=True)
class FastPlan:
    """What to install: the `functions` to divert, and how they record."""

    functions: tuple[Diverted, ...]
    places: Places
    recording: Recording
    filters: Filters
    header: bool
    stop_at: int
    build_id: str
    folder: Path
    memory: KernelMemory

    @property
    def lend(self) -> Lend:
        """Return what writes down the registers of a borrowed task."""
        return partial(write_loan, self.folder, self.build_id)


@dataclass(frozen=True)
class Installed:
    """What is in the kernel: the memory and the code in it, and the journal of what is changed."""

    area: Area
    program: Program
    journal: Journal
    clock: Clock


def install(target: GdbTarget, kernel: Kernel, task: Borrowed, plan: FastPlan) -> Installed:
    """Divert the functions of `plan`; raise GdbFpuError, and then nothing is changed.

    If text that was changed cannot be restored, the memory and the journal stay.
    """
    pages = code_pages(plan.functions, plan.places, plan.filters, header=plan.header)
    area = Area(0, pages, plan.recording.slots, plan.recording.rows)
    area = replace(area, base=plan.memory.allocate(task, area.size))
    with ExitStack() as stack:
        stack.callback(plan.memory.release, task, area.base, pages)
        program = _write_code(target, task, area, plan)
        clock = _clock(target, task, program, plan.memory)
        entries = [
            Entry(
                one.probe.function,
                one.window.address,
                one.window.code,
                patched(one.window, program.entries[number]),
            )
            for number, one in enumerate(plan.functions)
        ]
        journal = write_journal(plan.folder, plan.build_id, area.base, pages, entries)
        stack.callback(journal.remove)
        _wait_for_room(target, kernel, task, plan, journal)
        undo = stack.pop_all()
    with ExitStack() as failed:
        failed.callback(_take_back, target, journal, undo)
        write_text(target, [Change(entry.address, entry.new) for entry in journal.entries])
        failed.pop_all()
    return Installed(area, program, journal, clock)


def _clock(target: GdbTarget, task: Borrowed, program: Program, memory: KernelMemory) -> Clock:
    """Return the clock; a kernel that could not calibrate its counter leaves that to us."""
    counter, ns = task.call(program.clock), time.time_ns()
    place = target.symbol_address("tsc_khz")
    khz = int.from_bytes(target.read_memory(place, 4), "little") if place is not None else 0
    if not khz:
        memory.pause(task, _CALIBRATION)
        later = task.call(program.clock)
        khz = (later - counter) * 1_000_000 // (time.time_ns() - ns)
    if khz <= 0:
        raise GdbFpuError("the CPU's time-stamp counter does not advance")
    return Clock(khz, counter, ns)


def _write_code(target: GdbTarget, task: Borrowed, area: Area, plan: FastPlan) -> Program:
    program = assemble(plan.functions, plan.places, area, plan.filters, header=plan.header)
    _write(target, area.base, program.code)
    plan.memory.seal(task, area.base, area.code_pages)
    task.call(program.clear, area.control, (area.base + area.size - area.control) // 8)
    _write(target, area.control + Control.STOP_AT, plan.stop_at.to_bytes(8, "little"))
    return program


def _write(target: GdbTarget, address: int, data: bytes) -> None:
    target.write_memory(address, data)
    if target.read_memory(address, len(data)) != data:
        raise GdbFpuError(f"the kernel's memory at {address:#x} does not keep what is written")


def _wait_for_room(
    target: GdbTarget, kernel: Kernel, task: Borrowed, plan: FastPlan, journal: Journal
) -> None:
    """Leave the kernel stopped at a moment when all jumps can be written: no CPU is in the way."""
    _settle(plan.memory, kernel, task, lambda: obstacles(kernel, _cpus(kernel), plan.functions))
    for entry in journal.entries:
        if target.read_memory(entry.address, len(entry.old)) != entry.old:
            raise GdbFpuError(f"{entry.function} has changed meanwhile: somebody else patches it")


def _settle(
    memory: KernelMemory,
    kernel: Kernel,
    task: Borrowed,
    in_the_way: Callable[[], Sequence[str]] = tuple,
) -> None:
    """Let the kernel run until no CPU waits to report a stop, and nothing is `in_the_way`.

    While the borrowed task sleeps, the other CPUs take the traps of breakpoints that are gone.
    """
    found: Sequence[str] = ()
    for _ in range(_TRIES):
        memory.pause(task, _PAUSE)
        waiting = waiting_cpus(kernel)
        found = [f"CPU {cpu} waits to report a stop" for cpu in waiting] or in_the_way()
        if not found:
            return
    raise GdbFpuError(f"{found[0]}, at each of {_TRIES} moments")


def _cpus(kernel: Kernel) -> tuple[Where, ...]:
    if kernel.target.stub.in_kernel:
        return kgdb_cpus(kernel, kernel.current()[0])
    return stub_cpus(kernel)


def _take_back(target: GdbTarget, journal: Journal, undo: ExitStack) -> None:
    restore_text(target, journal)
    undo.close()


def take_out(
    target: GdbTarget,
    kernel: Kernel,
    memory: KernelMemory,
    lend: Lend,
    journal: Journal,
    restored: Callable[[], None] = lambda: None,
) -> None:
    """Restore the text of `journal` and free its memory; raise GdbFpuError.

    `restored` is called once the text is restored, and again once no CPU is in a trampoline.
    """
    with borrowed(target, find_call(target), lend) as task:
        _settle(memory, kernel, task)
        restore_text(target, journal)
        restored()
        memory.wait_for_all(task)
        restored()
        memory.release(task, journal.base, journal.code_pages)


def restore_text(target: GdbTarget, journal: Journal) -> None:
    """Write back what the text was before the trace; no CPU may be about to report a stop."""
    write_text(target, [Change(entry.address, entry.old) for entry in journal.entries])
