# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of `gdbfpu show` and `gdbfpu diff`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gdbfpu.commands.names import components
from gdbfpu.commands.parser import Options, Parser, Several
from gdbfpu.commands.values import STANDARD_INPUT, file_name, number

__all__ = ("DiffOptions", "ShowOptions", "diff_parser", "show_parser")

_FILE = "the event file, written by `fpu-trace on --out`; - for standard input"


@dataclass(eq=False, repr=False)
class ShowOptions(Options):
    """The options of `gdbfpu show`: the event file, and the number of a hit."""

    file: Path = STANDARD_INPUT
    hit: int = 0
    format: str = "table"


@dataclass(eq=False, repr=False)
class DiffOptions(Options):
    """The options of `gdbfpu diff`.

    `file` is the event file. `one` and `other` are the numbers of two hits; without them, `task` is
    the pid of a task whose hits are each compared with the one before. `components` (names) are
    those to compare (empty: all).
    """

    file: Path = STANDARD_INPUT
    one: int | None = None
    other: int | None = None
    task: int | None = None
    components: tuple[str, ...] = ()


def show_parser() -> Parser[ShowOptions]:
    """Return the parser of `gdbfpu show`."""
    parser = Parser(
        ShowOptions,
        prog="gdbfpu show",
        description="Show one hit of an event file: the task, the call path, the header, and each\n"
        "register if the trace was made with `--state full`.",
    )
    parser.add("file", type=file_name, metavar="FILE", help=_FILE)
    parser.add("--hit", type=number, metavar="N", required=True, help="the number of the hit")
    parser.add("--format", choices=("table", "json"), help="default: %(default)s")
    return parser


def diff_parser() -> Parser[DiffOptions]:
    """Return the parser of `gdbfpu diff`."""
    parser = Parser(
        DiffOptions,
        prog="gdbfpu diff",
        description="Show the registers that differ between two hits of an event file, or what\n"
        "changed from hit to hit of one task. The trace has to be made with `--state full`.",
    )
    parser.add("file", type=file_name, metavar="FILE", help=_FILE)
    one = parser.add("one", type=number, nargs="?", metavar="A", help="the number of a hit")
    parser.add("other", type=number, nargs="?", metavar="B", help="the number of another")
    task = parser.add("--task", type=number, metavar="PID",
        help="compare each hit of this task with its hit before")  # fmt: skip
    parser.add("--component", action=Several, metavar="NAME", dest="components",
        completions=components,
        help="compare only this component (x87, SSE, AVX, ...); may be repeated")  # fmt: skip
    parser.add_conflicts((one, task))
    return parser
