# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of the commands that trace, report and show: a parser for each command."""

from __future__ import annotations

import argparse
from typing import Callable

from gdbfpu.commands.parser import Parser
from gdbfpu.probes.catalogue import CATALOGUE, GROUPS
from gdbfpu.report.sorts import SORTS
from gdbfpu.xsave.features import COMPONENTS

__all__ = (
    "add_task",
    "info_parser",
    "report_parser",
    "state_parser",
    "trace_parser",
)


def _count(text: str) -> int:
    value = int(text, 0) if text else -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 up")
    return value


_count.__name__ = "number"


def trace_parser() -> Parser:
    """Return the parser of `fpu-trace`."""
    parser = Parser(
        prog="fpu-trace",
        description="Record each pass through the kernel's FPU functions and the task behind it.\n"
        "Turn it on, `continue`, interrupt, then see `fpu-report`.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="on|off|status|clear|probes", required=True)
    _add_on(verbs.add_parser("on", help="plant the probes", description="Plant the probes."))
    listing = (
        "list the functions that can be probed, which this kernel has, and what serves instead"
    )
    _add_probes(verbs.add_parser("probes", help=listing, description=f"{listing.capitalize()}."))
    for verb, text in (
        ("off", "take the probes out of the kernel, end the event file, keep the totals"),
        ("status", "show what is traced, how each probe resumes, and how many hits there were"),
        ("clear", "forget all totals"),
    ):
        verbs.add_parser(verb, help=text, description=text[0].upper() + text[1:] + ".")
    return parser


def _add_probes(parser: Parser) -> None:
    parser.add_argument("--group", action="append", default=[], choices=GROUPS, dest="groups",
        help="list only this group; may be given again")  # fmt: skip


def _add_on(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    functions = tuple(probe.function for probe in CATALOGUE)
    add("--probe", action="append", default=[], metavar="FUNCTION", dest="probes",
        help="trace this function; may be given again (default: signal frame save and sanitizing)"
        ).completions = functions  # type: ignore[attr-defined]  # fmt: skip
    add("--group", action="append", default=[], choices=GROUPS, dest="groups",
        help="trace the functions of this group; may be given again")  # fmt: skip
    add("--pid", action="append", default=[], type=_count, metavar="PID", dest="pids",
        help="record only this task; may be given again")  # fmt: skip
    add("--comm", action="append", default=[], metavar="GLOB", dest="comms",
        help="record only tasks of such a name; may be given again")  # fmt: skip
    add("--state", choices=("none", "header", "full"), default="header",
        help="how much of the FPU state to read at a hit (default: %(default)s)")  # fmt: skip
    add("--backtrace", type=_count, default=1, metavar="N",
        help="how many callers to record (default: %(default)s)")  # fmt: skip
    add("--limit", type=_count, default=0, metavar="N",
        help="stop the kernel and turn the trace off after N hits (default: never)")  # fmt: skip
    add("--audit", action="store_true",
        help="watch each call until it returns: check signal frames, and sanitizing")  # fmt: skip
    add("--quiet", action="store_true", help="print no line per hit")
    add("--out", metavar="FILE", help="write every hit to this new file, as JSON Lines")


def report_parser() -> Parser:
    """Return the parser of `fpu-report`."""
    parser = Parser(
        at_odds=tuple(("events", dump) for dump in ("core", "vmlinux", "vmcoreinfo")),
        prog="fpu-report",
        description="List the tasks that use the FPU and those that never did, with the hits of\n"
        "the trace. It works with tracing off too, from the kernel's tasks alone, and without\n"
        "a kernel from an event file.",
    )
    add = parser.add_argument
    add("--from", metavar="FILE", dest="events",
        help="report the tasks in this event file, which `fpu-trace on --out` wrote")  # fmt: skip
    add("--by", choices=("task", "probe", "path"), default="task",
        help="what a row is (default: %(default)s)")  # fmt: skip
    add("--sort", choices=tuple(SORTS), default="", metavar="COLUMN",
        help=f"order of tasks: {', '.join(SORTS)} (default: users, then hits)")  # fmt: skip
    add("--format", choices=("table", "json", "csv"), default="table",
        help="default: %(default)s")  # fmt: skip
    add("--out", metavar="FILE", help="write the report to this new file")
    return parser


def info_parser() -> Parser:
    """Return the parser of `fpu-info`."""
    parser = Parser(
        prog="fpu-info",
        description="Show how the kernel handles the FPU, and what each CPU has to do with it;\n"
        "each value with the place it was read from.",
    )
    parser.add_argument("--format", choices=("table", "json"), default="table",
        help="default: %(default)s")  # fmt: skip
    return parser


_STATE_AT_ODDS = (
    ("raw", "format"),
    ("diff", "raw"),
    ("task", "comm"),
    *(("sigframe", other) for other in ("raw", "diff", "task", "comm")),
)


def state_parser(stopped: bool = True) -> Parser:
    """Return the parser of `fpu-state`; without --sigframe where no CPU is `stopped`."""
    frame = " With --sigframe, what the kernel wrote to a user stack." if stopped else ""
    parser = Parser(
        at_odds=_STATE_AT_ODDS,
        prog="fpu-state",
        description="Show a task's whole FPU state, and where the truth about it is: in memory,\n"
        f"or live in a CPU.{frame}",
    )
    add = parser.add_argument
    add_task(parser, stopped)
    add("--component", action="append", default=[], metavar="NAME", dest="components",
        help="show only this state component; may be given again"
        ).completions = tuple(c.name for c in COMPONENTS)  # type: ignore[attr-defined]  # fmt: skip
    add("--raw", action="store_true", help="dump the bytes in memory, whatever the header says")
    add("--format", choices=("table", "json"), default="table",
        help="default: %(default)s")  # fmt: skip
    add("--diff", default="", metavar="OTHER",
        help="show only the registers that differ from those of this task")  # fmt: skip
    if stopped:
        _add_sigframe(add)
    return parser


def add_task(parser: Parser, stopped: bool) -> None:
    """Add the arguments that name a task; `current` is one only where a CPU is `stopped`."""
    current = ", or `current`, the selected thread's task (default)" if stopped else ""
    parser.add_argument("task", nargs="?", default="current",
        metavar="current|PID|ADDRESS" if stopped else "PID|ADDRESS",
        help=f"a pid, the address of a task_struct or struct fpu{current}"
        ).completions = ("current",)  # type: ignore[attr-defined]  # fmt: skip
    parser.add_argument("--comm", default="", metavar="NAME",
        help="the task of this name, which may be a glob")  # fmt: skip


def _add_sigframe(add: Callable[..., argparse.Action]) -> None:
    add("--sigframe", nargs="?", const="", metavar="ADDRESS",
        help="decode the signal frame's FPU part at this user address (default: the argument "
        "of the function the CPU stopped in)")  # fmt: skip
