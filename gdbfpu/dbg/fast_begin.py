# SPDX-License-Identifier: GPL-2.0-or-later
"""Begin a fast trace once everything that it needs is there; undo one whose debugger has died."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import gdb

from gdbfpu.dbg.borrowed import borrowed, find_call, repay
from gdbfpu.dbg.fast_install import FastPlan, install, take_out
from gdbfpu.dbg.fast_memory import KernelMemory
from gdbfpu.dbg.fast_trace import ALWAYS, FastTrace
from gdbfpu.dbg.gdb_types import known_types
from gdbfpu.dbg.kernel_text import check_writable
from gdbfpu.dbg.planting import Plan
from gdbfpu.dbg.point import Host
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.errors import MemoryFault, UsageError
from gdbfpu.fast import patching
from gdbfpu.fast.journal import Journal, find_journals, journal_folder
from gdbfpu.fast.layout import MAX_PROBES
from gdbfpu.fast.loan import find_loans, write_loan
from gdbfpu.fast.options import Recording, filters_of
from gdbfpu.fast.places import read_places
from gdbfpu.fast.refusals import check_kernel, diverted_window
from gdbfpu.fast.trampoline import Diverted
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts.types import Layouts
from gdbfpu.trace.tracer import Tracer

__all__ = ("begin_fast", "restore_kernel")


def begin_fast(
    target: GdbTarget,
    tracer: Tracer,
    plan: Plan,
    recording: Recording,
    host: Host,
    build_id: str,
) -> tuple[FastTrace, tuple[str, ...]]:
    """Divert the functions of `plan`; return the trace, and a line for each that is left out.

    Raises UsageError if one that is required cannot be diverted, or none can.
    """
    model, options = tracer.model, tracer.options
    kernel = model.kernel
    types = known_types(*patching.TYPES)
    check_kernel(kernel, types)
    check_writable(target)
    if any(_left_behind(target, build_id)):
        raise UsageError("a debugger that died left a fast trace here: say `fpu-trace off` first")
    functions, left_out = _diverted(target, kernel, plan, types)
    wanted = FastPlan(
        functions=functions,
        places=read_places(model),
        recording=recording,
        filters=filters_of(options.pids, options.comms),
        header=options.state != "none",
        stop_at=min(recording.slots or ALWAYS, options.limit or ALWAYS),
        build_id=build_id,
        folder=journal_folder(),
        memory=KernelMemory(target),
    )
    with borrowed(target, find_call(target), wanted.lend) as task:
        installed = install(target, kernel, task, wanted)
    return FastTrace(target, tracer, wanted, installed, host), left_out


def _diverted(
    target: GdbTarget, kernel: Kernel, plan: Plan, types: Layouts
) -> tuple[tuple[Diverted, ...], tuple[str, ...]]:
    """Return the functions to divert, and why the others are left out; see begin_fast()."""
    found, left_out = [], []
    sites = frozenset(patching.patch_sites(target, types))
    for probe, entry in plan.chosen:
        try:
            window = diverted_window(kernel, probe, target.function_code(entry), entry, sites)
            if points := _breakpoints_in(window.inside):
                raise UsageError(
                    f"{probe.function} cannot be diverted: breakpoint {points[0]} is "
                    "in its first instructions: delete it"
                )
            found.append(Diverted(probe, window))
        except UsageError as error:
            if probe.function in plan.required or len(plan.chosen) == 1:
                raise
            left_out.append(f"{error}; it is left out")
    if not found:
        raise UsageError(left_out[0])
    if len(found) > MAX_PROBES:
        raise UsageError(f"--fast diverts at most {MAX_PROBES} functions, not {len(found)}")
    return tuple(found), tuple(left_out)


def _breakpoints_in(addresses: range) -> list[int]:
    """Return the numbers of the user's breakpoints at `addresses`."""
    return [
        point.number
        for point in gdb.breakpoints()
        for place in getattr(point, "locations", ())  # since GDB 13
        if point.number > 0 and place.address in addresses
    ]


def restore_kernel(target: GdbTarget, kernel: Kernel, build_id: str) -> tuple[str, ...]:
    """Restore what fast traces of debuggers that died have left in this kernel; say what."""
    folder, lines = journal_folder(), []
    for loan in find_loans(folder, build_id):
        if repay(target, loan):
            lines.append("gave back a task that another debugger had borrowed")
        loan.repay()
    for journal in _left_behind(target, build_id):
        lend = partial(write_loan, folder, build_id)
        take_out(target, kernel, KernelMemory(target), lend, journal)
        journal.remove()
        names = ", ".join(entry.function for entry in journal.entries)
        lines.append(f"restored {names}, which a trace of another debugger had diverted")
    return tuple(lines)


def _left_behind(target: GdbTarget, build_id: str) -> Iterator[Journal]:
    """Yield the journals of what is still written over in this kernel.

    Others are of another machine with the same kernel, or of an earlier boot.
    """
    for journal in find_journals(journal_folder(), build_id):
        found: list[bytes] = []
        with suppress(MemoryFault):  # this boot's kernel is elsewhere (KASLR)
            found = [target.read_memory(one.address, len(one.new)) for one in journal.entries]
        known = all(data in (one.old, one.new) for data, one in zip(found, journal.entries))
        if known and any(data != one.old for data, one in zip(found, journal.entries)):
            yield journal
