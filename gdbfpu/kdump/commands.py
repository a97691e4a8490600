# SPDX-License-Identifier: GPL-2.0-or-later
"""`gdbfpu report`, `state`, `info` and `audit`: what the commands tell in GDB, told of files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Callable

from gdbfpu.commands.answers import info_text, report_text, state_text
from gdbfpu.commands.audit_answers import audit_text, map_text, run_audit
from gdbfpu.commands.audit_options import AuditOptions, audit_parser
from gdbfpu.commands.dump_options import DumpFiles
from gdbfpu.commands.info_options import InfoOptions, info_parser
from gdbfpu.commands.model import read_model
from gdbfpu.commands.output import put
from gdbfpu.commands.parser import Parser, picked
from gdbfpu.commands.report_options import ReportOptions, report_parser
from gdbfpu.commands.state_options import StateOptions, state_parser
from gdbfpu.errors import UsageError
from gdbfpu.fpu.model import FpuModel
from gdbfpu.kdump.target import DrgnMemory
from gdbfpu.kernel import identity
from gdbfpu.report.from_events import report_of_file
from gdbfpu.report.report import collect
from gdbfpu.text.progress import Progress
from gdbfpu.trace.totals import Totals

__all__ = ("FOUND", "answer")

_MAX_VMCOREINFO = 1 << 20  # bytes; the kernel's is a page

FOUND = 3
"""The exit status of `gdbfpu audit` that found errors or warnings, or could not read all; 1 is
that of a command that could not do its work."""

_Dump = Callable[[], tuple[FpuModel, str]]
"""Returns the model of a dump's kernel and its build-id (hex); raises GdbFpuError."""


def answer(command: str, words: Sequence[str]) -> int:
    """Print or write what `command` (`report`, `state`, `info`, `audit`) tells; return its status.

    `words` are its arguments. Raises GdbFpuError, and HelpShown for --help.
    """
    make, act = _COMMANDS[command]
    parser = make(stopped=False)
    found = parser.parse_args(words)
    return act(parser.options(found), partial(_dump, parser, found))


def _report(options: ReportOptions, dump: _Dump) -> int:
    if options.events is not None:
        report = report_of_file(options.events, _progress(f"lines of {options.events}"))
    else:
        report = collect(dump()[0], Totals(), _progress("tasks"))
    put(report_text(report, options), options.out, print)
    return 0


def _state(options: StateOptions, dump: _Dump) -> int:
    print(state_text(dump()[0], options))
    return 0


def _info(options: InfoOptions, dump: _Dump) -> int:
    print(info_text(*dump(), options))
    return 0


def _audit(options: AuditOptions, dump: _Dump) -> int:
    model = dump()[0]
    if options.map:
        put(map_text(model, options), options.out, print)
        return 0
    found = run_audit(model, options, _progress("tasks"))
    put(audit_text(found, options), options.out, print)
    return FOUND if found.verdict in ("findings", "incomplete") else 0


_COMMANDS: dict[str, tuple[Callable[..., Parser[Any]], Callable[[Any, _Dump], int]]] = {
    "report": (report_parser, _report),
    "state": (state_parser, _state),
    "info": (info_parser, _info),
    "audit": (audit_parser, _audit),
}


def _dump(parser: Parser[Any], found: argparse.Namespace) -> tuple[FpuModel, str]:
    """Open the dump that the arguments `found` name."""
    files = picked(DumpFiles, found)
    if files.core is None or files.vmlinux is None:
        parser.error("give --from FILE, or --core FILE and --vmlinux FILE")
    notes = _read(files.vmcoreinfo) if files.vmcoreinfo is not None else None
    target = DrgnMemory(files.core, files.vmlinux, notes)
    build_id = identity.verify(target, files.vmlinux)
    return read_model(target, files.vmlinux, build_id, _progress("bytes of BTF")), build_id


def _progress(what: str) -> Progress:
    return Progress(what, sys.stderr.write)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_VMCOREINFO)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
