# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of `fpu-report`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdbfpu.commands.parser import Options, Parser
from gdbfpu.commands.values import file_name
from gdbfpu.report.sorts import SORTS

__all__ = ("ABOUT", "ReportOptions", "add_report", "report_parser")

ABOUT = """List the tasks that use the FPU, and those that never did.
Each has its hits. It works without a trace too, from the kernel's tasks alone, and
without a kernel, from an event file."""
"""What the command does, for its help."""


@dataclass(eq=False, repr=False)
class ReportOptions(Options):
    """The options of `fpu-report`.

    `events` is the event file to report on (None: the kernel), `by` what each row shows. `sort`
    is a key of SORTS (empty: users first). `why` adds the reason for each answer. `out` is a new
    file to write.
    """

    events: Path | None = None
    by: str = "task"
    sort: str = ""
    why: bool = False
    format: str = "table"
    out: Path | None = None


def report_parser() -> Parser[ReportOptions]:
    """Return the parser of `fpu-report`."""
    parser = Parser(ReportOptions, prog="fpu-report", description=ABOUT)
    add_report(parser)
    return parser


def add_report(parser: Parser[Any], piped: str = "") -> argparse.Action:
    """Add the options of a report, and return the one that names an event file."""
    add = parser.add
    events = add("--from", type=file_name, metavar="FILE", dest="events",
        help=f"report the tasks in this event file, written by `fpu-trace on --out`{piped}"
        )  # fmt: skip
    add("--by", choices=("task", "probe", "path"),
        help="what each row shows (default: %(default)s)")  # fmt: skip
    add("--sort", choices=tuple(SORTS), metavar="COLUMN",
        help=f"order of tasks: {', '.join(SORTS)} (default: users, then hits)")  # fmt: skip
    add("--why", action="store_true",
        help="add the reason for each answer in column FPU")  # fmt: skip
    add("--format", choices=("table", "json", "csv"), help="default: %(default)s")
    add("--out", type=file_name, metavar="FILE", help="write the report to this new file")
    return events
