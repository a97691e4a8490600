# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands do: each calls and prints. `gdbfpu.dbg.declared` has parsed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import gdb

from gdbfpu.audit.engine import Audit
from gdbfpu.commands.answers import info_text, report_text, state_text
from gdbfpu.commands.audit_answers import (
    audit_text,
    map_text,
    run_audit,
    run_frame_audit,
    run_injected_audit,
)
from gdbfpu.commands.output import write_new
from gdbfpu.dbg.progress import Progress
from gdbfpu.dbg.session import Session, session
from gdbfpu.errors import UsageError
from gdbfpu.fpu.state import read_frame
from gdbfpu.probes import catalogue as probes
from gdbfpu.report.from_events import report_of_file
from gdbfpu.report.report import collect
from gdbfpu.text.table import table
from gdbfpu.trace.hit import HIT_HEADING
from gdbfpu.trace.tracer import Options, Tracer
from gdbfpu.xsave.text import render_table, to_json

__all__ = ("run",)


def run(command: str, arguments: argparse.Namespace) -> None:
    """Do what `command` says, with what its parser made of its arguments."""
    verbs = {"on": _on, "off": _off, "status": _status, "clear": _clear, "probes": _probes}
    commands = {
        "fpu-report": _report,
        "fpu-info": _info,
        "fpu-state": _state,
        "fpu-audit": _audit,
    }
    act = verbs[arguments.verb] if command == "fpu-trace" else commands[command]
    act(session(), arguments)


def _on(session: Session, arguments: argparse.Namespace) -> None:
    options = Options(
        state=arguments.state,
        backtrace=arguments.backtrace,
        limit=arguments.limit,
        pids=tuple(arguments.pids),
        comms=tuple(arguments.comms),
        quiet=arguments.quiet,
        audit=arguments.audit,
    )
    out = Path(arguments.out).expanduser() if arguments.out else None
    chosen = probes.select(session.model.kernel.target, arguments.probes, arguments.groups)
    for line in session.on(options, chosen, out):
        gdb.write(f"fpu-trace: {line}\n")
    if not options.quiet:
        gdb.write(HIT_HEADING + "\n")


def _off(session: Session, _: argparse.Namespace) -> None:
    if session.off():
        gdb.write(f"fpu-trace: off; {session.totals.hits} hits so far\n")
    else:
        gdb.write("fpu-trace: tracing is off; no probe is in the kernel\n")


def _status(session: Session, _: argparse.Namespace) -> None:
    totals, tracer = session.totals, session.tracer
    on, tasks = bool(session.breakpoints), len(totals.tasks) + totals.folded
    gdb.write(
        f"tracing is {'on' if on else 'off'}; {totals.hits} hits of {tasks} tasks, "
        f"{totals.filtered} filtered out{_layouts(tracer)}\n"
    )
    for point in session.breakpoints:
        gdb.write(f"  {point.describe()}: passed {point.passes} times\n")
    if on and tracer is not None and tracer.writer is not None:
        gdb.write(f"  hits are written to {tracer.writer.path}\n")
    for reason, count in totals.errors.items():
        gdb.write(f"  not recorded: {count} times {reason}\n")


def _layouts(tracer: Tracer | None) -> str:
    return f"; layouts from {tracer.model.kernel.layouts.source}" if tracer is not None else ""


def _clear(session: Session, _: argparse.Namespace) -> None:
    session.clear()
    gdb.write("fpu-trace: totals cleared\n")


def _probes(session: Session, arguments: argparse.Namespace) -> None:
    target = session.model.kernel.target
    rows = []
    for probe in probes.CATALOGUE:
        if not arguments.groups or probe.group in arguments.groups:
            address = target.symbol_address(probe.function)
            era = f"{probe.since} to {probe.until}" if probe.until else f"since {probe.since}"
            why = probes.unavailable(target, probe)
            where = why if address is None or why else f"{address:#x}"
            rows.append((probe.group, probe.function, where, era, probe.purpose))
    headers = ("group", "function", "address, or why not", "kernels", "what it does")
    gdb.write(table(rows, headers) + "\n")


def _info(session: Session, arguments: argparse.Namespace) -> None:
    gdb.write(info_text(session.model, session.build_id, arguments) + "\n")


def _state(session: Session, arguments: argparse.Namespace) -> None:
    if arguments.sigframe is not None:
        image = read_frame(session.model, _frame_address(session, arguments.sigframe))
        names = arguments.components
        as_json = arguments.format == "json"
        text = json.dumps(to_json(image, names)) if as_json else render_table(image, names)
    else:
        text = state_text(session.model, arguments)
    gdb.write(text + "\n")


def _audit(session: Session, arguments: argparse.Namespace) -> None:
    if arguments.map:
        text = map_text(session.model, arguments)
    else:
        text = audit_text(_audited(session, arguments), arguments)
    if arguments.out:
        write_new(arguments.out, text)
    else:
        gdb.write(text + "\n")


def _audited(session: Session, arguments: argparse.Namespace) -> Audit:
    if arguments.sigframe is not None:
        address = _frame_address(session, arguments.sigframe)
        return run_frame_audit(session.model, arguments, address, session.target)
    progress = Progress("tasks")
    if arguments.inject:
        return run_injected_audit(session.model, arguments, progress, session.target)
    found = run_audit(session.model, arguments, progress)
    session.totals.take(found)
    return found


def _frame_address(session: Session, text: str) -> int:
    """Return the user address of a frame: the one given, or the stopped function's argument."""
    if text:
        return int(gdb.parse_and_eval(text)) & (1 << 64) - 1
    register = probes.FRAME_ARGUMENTS.get(gdb.newest_frame().name() or "")
    value = session.target.register(register) if register else None
    if value is None:
        functions = " or ".join(probes.FRAME_ARGUMENTS)
        raise UsageError(f"give the frame's address, or stop at the entry of {functions}")
    return value


def _report(session: Session, arguments: argparse.Namespace) -> None:
    if arguments.events is not None:
        path = Path(arguments.events).expanduser()
        report = report_of_file(path, Progress(f"lines of {path}"))
    else:
        report = collect(session.model, session.totals, Progress("tasks"))
    text = report_text(report, arguments)
    if arguments.out:
        write_new(arguments.out, text)
    else:
        gdb.write(text + "\n")
