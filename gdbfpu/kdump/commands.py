# SPDX-License-Identifier: GPL-2.0-or-later
"""`gdbfpu report`, `state`, `info` and `audit`: what the commands tell in GDB, told of files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gdbfpu.commands.answers import info_text, report_text, state_text
from gdbfpu.commands.audit_answers import audit_text, map_text, run_audit
from gdbfpu.commands.audit_options import audit_parser
from gdbfpu.commands.model import read_model
from gdbfpu.commands.options import info_parser, report_parser, state_parser
from gdbfpu.commands.output import write_new
from gdbfpu.commands.parser import Parser
from gdbfpu.errors import UsageError
from gdbfpu.fpu.model import FpuModel
from gdbfpu.kdump.target import DrgnTarget
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


def answer(command: str, words: Sequence[str]) -> tuple[str, int]:
    """Return what `command` (`report`, `state`, `info`, `audit`) prints, and its exit status.

    `words` are its arguments. The text is empty when --out took it. Raises GdbFpuError, and
    HelpShown for --help.
    """
    parser = _parser(command)
    arguments = parser.parse_args(words)
    if command == "report" and arguments.events is not None:
        path = Path(arguments.events)
        report = report_of_file(path, _progress(f"lines of {path}"))
        return _put(report_text(report, arguments), arguments), 0
    if command == "report" and (arguments.core is None or arguments.vmlinux is None):
        parser.error("give --from FILE, or --core FILE and --vmlinux FILE")
    vmlinux, vmcoreinfo = Path(arguments.vmlinux), arguments.vmcoreinfo
    target = DrgnTarget(
        Path(arguments.core), vmlinux, _read(vmcoreinfo) if vmcoreinfo is not None else None
    )
    build_id = identity.verify(target, vmlinux)
    model = read_model(target, vmlinux, build_id, _progress("bytes of BTF"))
    if command == "audit":
        return _audit(model, arguments)
    if command == "info":
        return info_text(model, build_id, arguments), 0
    if command == "state":
        return state_text(model, arguments), 0
    report = collect(model, Totals(), _progress("tasks"))
    return _put(report_text(report, arguments), arguments), 0


def _audit(model: FpuModel, arguments: argparse.Namespace) -> tuple[str, int]:
    if arguments.map:
        return _put(map_text(model, arguments), arguments), 0
    found = run_audit(model, arguments, _progress("tasks"))
    status = FOUND if found.verdict in ("findings", "incomplete") else 0
    return _put(audit_text(found, arguments), arguments), status


def _parser(command: str) -> Parser:
    """Return the parser that the command has in GDB, with the dump's files among its options."""
    if command in ("state", "audit"):
        parser = (state_parser if command == "state" else audit_parser)(stopped=False)
    else:
        parser = report_parser() if command == "report" else info_parser()
    parser.prog = f"gdbfpu {command}"
    add = parser.add_argument
    required = command != "report"
    add("--core", required=required, metavar="FILE", help="the dump, as makedumpfile writes it")
    add("--vmlinux", required=required, metavar="FILE", help="that kernel's vmlinux")
    add("--vmcoreinfo", metavar="FILE",
        help="the kernel's VMCOREINFO; only for a dump without, as QEMU writes")  # fmt: skip
    return parser


def _put(text: str, arguments: argparse.Namespace) -> str:
    """Return `text`, or nothing where --out takes it."""
    if not arguments.out:
        return text
    write_new(arguments.out, text)
    return ""


def _progress(what: str) -> Progress:
    return Progress(what, sys.stderr.write)


def _read(name: str) -> bytes:
    try:
        with Path(name).open("rb") as file:
            return file.read(_MAX_VMCOREINFO)
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from error
