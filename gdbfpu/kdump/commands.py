# SPDX-License-Identifier: GPL-2.0-or-later
"""`gdbfpu report`, `state`, `info` and `audit`: the commands of GDB, for files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Callable

from gdbfpu.commands.audit import FOUND, audit_text, map_text, run_audit
from gdbfpu.commands.audit_options import AuditOptions
from gdbfpu.commands.dump_options import DumpFiles
from gdbfpu.commands.events import event_files
from gdbfpu.commands.filter_options import hit_filter
from gdbfpu.commands.info import info_text
from gdbfpu.commands.info_options import InfoOptions
from gdbfpu.commands.model import helpers_here, read_model
from gdbfpu.commands.output import output, standard_output
from gdbfpu.commands.parser import Parser, picked
from gdbfpu.commands.report import report_text
from gdbfpu.commands.report_files_options import ReportFilesOptions
from gdbfpu.commands.state import state_text
from gdbfpu.commands.state_options import StateOptions
from gdbfpu.commands.streams import remark, show
from gdbfpu.errors import UsageError
from gdbfpu.fpu.looks import Looks
from gdbfpu.fpu.model import FpuModel
from gdbfpu.kdump.apart import Apart
from gdbfpu.kdump.target import DrgnMemory
from gdbfpu.kernel import identity
from gdbfpu.report.from_events import report_of_files
from gdbfpu.report.report import Report, collect
from gdbfpu.text.progress import Progress
from gdbfpu.trace.totals import Totals

__all__ = ("answer",)

_MAX_VMCOREINFO = 1 << 20  # bytes; the kernel's is a page

_Dump = Callable[[], tuple[FpuModel, str]]
"""Returns the model of the dump's kernel, and the kernel's build-id (hex); raises GdbFpuError."""


def answer(command: str, parser: Parser[Any], words: Sequence[str]) -> int:
    """Run `command` (`report`, `state`, `info`, `audit`) and return its exit status.

    `parser` reads its arguments, `words`. Raises GdbFpuError, and HelpShown for --help.
    """
    found = parser.parse_args(words)
    return _ACTIONS[command](parser.options(found), partial(_dump, parser, found))


def _report(options: ReportFilesOptions, dump: _Dump) -> int:
    with output(options.out, show) as put:
        report = _reported(options, dump)
        put(report_text(report, options, standard_output()))
    return int(bool(report.defects))


def _reported(options: ReportFilesOptions, dump: _Dump) -> Report:
    names = options.files or ((options.events,) if options.events else ())
    if not names:
        return collect(Looks(dump()[0]), Totals(), _progress("tasks"))
    with event_files(names) as files:
        return report_of_files(files, hit_filter(options))


def _state(options: StateOptions, dump: _Dump) -> int:
    show(state_text(dump()[0], options, standard_output()))
    return 0


def _info(options: InfoOptions, dump: _Dump) -> int:
    show(info_text(*dump(), options, standard_output()))
    return 0


def _audit(options: AuditOptions, dump: _Dump) -> int:
    with output(options.out, show) as put:
        model = dump()[0]
        if options.map:
            put(map_text(model, options, standard_output()))
            return 0
        found = run_audit(model, options, _progress("tasks"))
        put(audit_text(found, options, standard_output()))
    return 0 if found.sound else FOUND


_ACTIONS: dict[str, Callable[[Any, _Dump], int]] = {
    "report": _report,
    "state": _state,
    "info": _info,
    "audit": _audit,
}


def _dump(parser: Parser[Any], found: argparse.Namespace) -> tuple[FpuModel, str]:
    """Open the dump that `found`, the parsed arguments, names."""
    files = picked(DumpFiles, found)
    if files.core is None or files.vmlinux is None:
        parser.error("give an event file, or --core FILE and --vmlinux FILE")
    notes = _read(files.vmcoreinfo) if files.vmcoreinfo is not None else None
    core, vmlinux = files.core, files.vmlinux
    target = Apart(core, lambda: DrgnMemory(core, vmlinux, notes))
    build_id = identity.verify(target, vmlinux)
    progress = _progress("bytes of BTF")
    return read_model(target, vmlinux, build_id, progress, helpers_here()), build_id


def _progress(what: str) -> Progress:
    return Progress(what, remark)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_VMCOREINFO)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
