# SPDX-License-Identifier: GPL-2.0-or-later
"""All commands, those of GDB and those of the shell, each with its parser.

What is made of parsers begins here: the commands themselves, completion, manual pages. A parser's
module is imported when its parser is asked for: importing all takes longer than most commands.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, NamedTuple

from gdbfpu.commands.parser import Parser

__all__ = ("GDB", "SHELL", "Command")


class Command(NamedTuple):
    """A command: `about` is a line for people, `parser` returns its parser."""

    about: str
    parser: Callable[[], Parser[Any]]


def _decode() -> Parser[Any]:
    from gdbfpu.commands.decode_options import decode_parser

    return decode_parser()


def _show() -> Parser[Any]:
    from gdbfpu.commands.show_options import show_parser

    return show_parser()


def _diff() -> Parser[Any]:
    from gdbfpu.commands.show_options import diff_parser

    return diff_parser()


def _compare() -> Parser[Any]:
    from gdbfpu.commands.compare_options import compare_parser

    return compare_parser()


def _export() -> Parser[Any]:
    from gdbfpu.commands.export_options import export_parser

    return export_parser()


def _layout() -> Parser[Any]:
    from gdbfpu.commands.layout_options import layout_parser

    return layout_parser()


def _report_files() -> Parser[Any]:
    from gdbfpu.commands.report_files_options import report_files_parser

    return report_files_parser()


def _report() -> Parser[Any]:
    from gdbfpu.commands.report_options import report_parser

    return report_parser()


def _trace() -> Parser[Any]:
    from gdbfpu.commands.trace_options import trace_parser

    return trace_parser()


def _state(stopped: bool = True) -> Parser[Any]:
    from gdbfpu.commands.state_options import state_parser

    return state_parser(stopped)


def _info(stopped: bool = True) -> Parser[Any]:
    from gdbfpu.commands.info_options import info_parser

    return info_parser(stopped)


def _audit(stopped: bool = True) -> Parser[Any]:
    from gdbfpu.commands.audit_options import audit_parser

    return audit_parser(stopped)


def _doctor(stopped: bool = True) -> Parser[Any]:
    from gdbfpu.commands.doctor_options import doctor_parser

    return doctor_parser(stopped)


def _install() -> Parser[Any]:
    from gdbfpu.commands.install_options import install_parser

    return install_parser()


def _uninstall() -> Parser[Any]:
    from gdbfpu.commands.install_options import uninstall_parser

    return uninstall_parser()


def _completion() -> Parser[Any]:
    from gdbfpu.commands.completion_options import completion_parser

    return completion_parser()


SHELL = {
    "decode": Command("show what an FPU state image contains", _decode),
    "show": Command("show one hit of an event file, with its registers", _show),
    "diff": Command("show what changed between two hits of an event file", _diff),
    "compare": Command("show what changed between two event files", _compare),
    "export": Command(
        "write an event file as a page, CSV, Markdown, flame graph or timeline", _export
    ),
    "layout": Command("show the offsets of members of kernel types", _layout),
    "report": Command(
        "list the tasks that use the FPU, from a dump or an event file", _report_files
    ),
    "state": Command("show a task's FPU state, from a dump", partial(_state, stopped=False)),
    "info": Command(
        "show how the kernel handles the FPU, from a dump", partial(_info, stopped=False)
    ),
    "audit": Command(
        "check the FPU memory of one task or of all, from a dump", partial(_audit, stopped=False)
    ),
    "doctor": Command(
        "name what keeps gdbfpu from working, and how to mend it",
        partial(_doctor, stopped=False),
    ),
    "install-gdb": Command("let `source gdbfpu` work anywhere in GDB", _install),
    "uninstall-gdb": Command("remove what install-gdb added to your GDB init file", _uninstall),
    "completion": Command("print a script that completes the words of this command", _completion),
}
"""The commands of `gdbfpu`, by the word that follows it."""

GDB = {
    "fpu-trace": Command("record each call of the kernel's FPU functions", _trace),
    "fpu-report": Command("list the tasks that use the FPU", _report),
    "fpu-info": Command("show how the kernel handles the FPU", _info),
    "fpu-state": Command("show a task's FPU state", _state),
    "fpu-audit": Command("check the FPU memory of one task or of all", _audit),
    "fpu-doctor": Command("name what keeps gdbfpu from working, and what to type", _doctor),
}
"""The commands in GDB, by name."""
