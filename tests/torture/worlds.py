# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels written by hand, of each era, with memory that lies: thousands, without a debugger."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

from audit_machines import ERAS, M41Xsaves, Machine
from fake_kernel import COMM, FPU, SIGNAL, TASK_BYTES, TASKS, THREAD_NODE

from gdbfpu.audit.engine import audit
from gdbfpu.audit.snapshot import Snapshot
from gdbfpu.commands.audit import audit_text, map_text
from gdbfpu.commands.audit_options import AuditOptions
from gdbfpu.commands.info import info_text
from gdbfpu.commands.info_options import InfoOptions
from gdbfpu.commands.report import report_text
from gdbfpu.commands.report_options import ReportOptions
from gdbfpu.commands.state import state_text
from gdbfpu.commands.state_options import StateOptions
from gdbfpu.errors import GdbFpuError
from gdbfpu.fpu import model as fpu
from gdbfpu.fpu.looks import Looks
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.report.report import collect
from gdbfpu.text.screen import Screen
from gdbfpu.trace.totals import Totals
from tests.torture.damage import evil_name
from tests.torture.plain_text import faults_of_text

__all__ = ("ask", "damaged")

_LONGEST = 2.0  # seconds for one question
_KINDS = (*ERAS, M41Xsaves)
_TASKS = ("alice", "bob", "carol")


def damaged(chance: random.Random) -> Machine:
    """Return a kernel of any era with some of its memory damaged."""
    machine = chance.choice(_KINDS)()
    for _ in range(chance.randrange(1, 6)):
        chance.choice((_link, _state, _name, _anywhere, _variable))(machine, chance)
    return machine


def _task(machine: Machine, chance: random.Random) -> int:
    return int(getattr(machine, chance.choice(_TASKS)))


def _pointer(machine: Machine, chance: random.Random) -> int:
    task = _task(machine, chance)
    return chance.choice((
        0, 1, 0x7FF000000000, (1 << 64) - 1, 0xDEAD000000000100, task, task + TASKS,
        task + TASKS + chance.randrange(16), task + THREAD_NODE, machine.fpu(task),
        chance.randrange(1 << 64),
    ))  # fmt: skip


def _link(machine: Machine, chance: random.Random) -> None:
    at = _task(machine, chance) + chance.choice((TASKS, TASKS, THREAD_NODE, SIGNAL))
    machine.target.put_int(at, at if chance.random() < 0.2 else _pointer(machine, chance))


def _state(machine: Machine, chance: random.Random) -> None:
    """Every bit of a struct fpu set, or any of them, or only the words that say what follows."""
    task = _task(machine, chance)
    at = machine.fpu(task)
    size = TASK_BYTES - FPU if at < task + TASK_BYTES else 3900
    if chance.random() < 0.5:
        place = at + chance.choice((0, 4, 8, 16, 24, 32, 64, 576, 584))
        words = (b"\xff" * 8, chance.randbytes(8), _pointer(machine, chance).to_bytes(8, "little"))
        machine.target.put(place, chance.choice(words))
    else:
        machine.target.put(at, chance.choice((b"\xff" * size, chance.randbytes(size))))


def _name(machine: Machine, chance: random.Random) -> None:
    machine.target.put(_task(machine, chance) + COMM, evil_name(chance))


def _anywhere(machine: Machine, chance: random.Random) -> None:
    start, memory = chance.choice(list(machine.target.ranges.items()))
    if len(memory) >= 8:
        place = start + chance.randrange(0, len(memory) - 7, 4)
        machine.target.put_int(place, _pointer(machine, chance))


def _variable(machine: Machine, chance: random.Random) -> None:
    """A variable of the kernel: a table about the FPU, a count of CPUs, a per-CPU pointer."""
    symbols = machine.target.symbols
    at = symbols[chance.choice(sorted(symbols))]
    for start, memory in machine.target.ranges.items():
        if start == at:
            choices = (b"\xff" * len(memory), bytes(len(memory)), chance.randbytes(len(memory)))
            machine.target.put(at, chance.choice(choices))


def ask(machine: Machine, chance: random.Random) -> Iterator[str]:
    """Ask for all that there is; yield what must never be, a line each."""
    try:
        model = fpu.probe(Kernel(machine.target, machine.layouts))
    except GdbFpuError as error:
        yield from faults_of_text("error", str(error))
        return
    who = hex(_task(machine, chance))
    screen = Screen(chance.choice((0, 80)))
    for kind, question in {
        "table": lambda: _report(model, "table", screen),
        "csv": lambda: _report(model, "csv", screen),
        "json": lambda: _report(model, "json", screen),
        "table, why": lambda: _report(model, "table", screen, why=True),
        "state": lambda: state_text(model, StateOptions(task=who), screen),
        "json, state": lambda: state_text(model, StateOptions(task=who, format="json"), screen),
        "info": lambda: info_text(model, "", InfoOptions(), screen),
        "json, info": lambda: info_text(model, "", InfoOptions(format="json"), screen),
        "audit": lambda: _audit(model, "table"),
        "json, audit": lambda: _audit(model, "json"),
        "json, sarif": lambda: _audit(model, "sarif"),
        "map": lambda: map_text(model, AuditOptions(task=who, map=True)),
    }.items():
        began = time.monotonic()
        try:
            text = question()
        except GdbFpuError as error:
            text, kind = str(error), "error"
        except Exception as error:  # noqa: BLE001 - that is what we look for
            yield f"{type(machine).__name__}: {kind}: {error!r}"
            continue
        if time.monotonic() - began > _LONGEST:
            yield f"{type(machine).__name__}: {kind}: {time.monotonic() - began:.1f} s"
        yield from faults_of_text(kind.split(",")[0], text)
        machine.target.reads.clear()


def _report(model: fpu.FpuModel, form: str, screen: Screen, *, why: bool = False) -> str:
    report = collect(Looks(model), Totals(), lambda _: None)
    return report_text(report, ReportOptions(format=form, why=why), screen)


def _audit(model: fpu.FpuModel, form: str) -> str:
    options = AuditOptions(all=True, format=form, reveal=True)
    return audit_text(audit(Snapshot(model), None, lambda _: None), options)
