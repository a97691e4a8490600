# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands' parsers: usage, help and completion of each come from one argparse parser.

Nothing here knows GDB. A parser never exits: wrong input is a UsageError of one line.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Callable, NoReturn

from gdbfpu.errors import UsageError
from gdbfpu.probes import CATALOGUE, GROUPS
from gdbfpu.sorts import SORTS
from gdbfpu.xfeatures import COMPONENTS

__all__ = (
    "HelpShown",
    "Parser",
    "add_task",
    "complete",
    "info_parser",
    "report_parser",
    "state_parser",
    "trace_parser",
)


class HelpShown(Exception):
    """Raised by `--help`: the text is its message."""


# How arguments that contradict one another are called; others are `--NAME`.
_WORDS = {"events": "--from", "format": "--format json", "task": "PID or ADDRESS"}


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises instead of printing and exiting.

    `at_odds` are pairs of arguments, by their names in the namespace, that contradict each other.
    """

    def __init__(self, at_odds: Sequence[tuple[str, str]] = (), **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(add_help=False, allow_abbrev=False, **options)
        self._at_odds = at_odds
        self.add_argument("-h", "--help", action=_Help, nargs=0, help="show this help")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Return what was given; raise UsageError for what contradicts itself."""
        found, rest = super().parse_known_args(args, namespace)
        given = {name for name, value in vars(found).items() if value != self.get_default(name)}
        for one, other in self._at_odds:
            if {one, other} <= given:
                words = (_WORDS.get(name, f"--{name}") for name in (one, other))
                self.error("{} and {} do not go together".format(*words))
        return found, rest

    def error(self, message: str) -> NoReturn:
        """Raise UsageError saying `message` and how to get help."""
        raise UsageError(f"{message}; see `{self.prog} --help`")


class _Help(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        raise HelpShown(parser.format_help().rstrip())


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


def complete(parser: argparse.ArgumentParser, text: str) -> tuple[str, ...]:
    """Return what the last word of `text`, a command's arguments so far, can become."""
    words = text.split()
    last = "" if not words or text[-1].isspace() else words.pop()
    for word in words:
        verbs = _verbs(parser)
        parser = verbs.get(word, parser)
    return tuple(sorted(c for c in _candidates(parser, words) if c.startswith(last)))


def _verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _candidates(parser: argparse.ArgumentParser, words: Sequence[str]) -> Iterable[str]:
    option = parser._option_string_actions.get(words[-1]) if words else None
    if option is not None and option.nargs != 0:
        return tuple(option.choices or _completions(option))
    named = (_completions(action) for action in parser._actions if not action.option_strings)
    options = (o for o in parser._option_string_actions if o.startswith("--"))
    return (*_verbs(parser), *chain.from_iterable(named), *options)


def _completions(action: argparse.Action) -> Iterable[str]:
    """Return what an argument's value can be: given as a tuple, or as a function of nothing."""
    found = vars(action).get("completions", ())
    return tuple(found() if callable(found) else found)
