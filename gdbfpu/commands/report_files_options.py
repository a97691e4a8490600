# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of `gdbfpu report`: those of `fpu-report`, event files, a choice of hits, a dump."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gdbfpu.commands.dump_options import add_dump
from gdbfpu.commands.filter_options import FilterOptions, add_filters
from gdbfpu.commands.parser import Parser
from gdbfpu.commands.report_options import ABOUT, ReportOptions, add_report
from gdbfpu.commands.values import file_name

__all__ = ("ReportFilesOptions", "report_files_parser")


@dataclass(eq=False, repr=False)
class ReportFilesOptions(ReportOptions, FilterOptions):
    """The options of `gdbfpu report`. `files` are the event files (empty: `events`, or a dump)."""

    files: tuple[Path, ...] = ()


def report_files_parser() -> Parser[ReportFilesOptions]:
    """Return the parser of `gdbfpu report`."""
    parser = Parser(ReportFilesOptions, prog="gdbfpu report", description=ABOUT)
    files = parser.add("files", nargs="*", type=file_name, metavar="FILE",
        help="event files, whose tasks are added up; - for standard input")  # fmt: skip
    events = add_report(parser, "; - for standard input")
    filters = add_filters(parser)
    dump = add_dump(parser, required=False)
    parser.add_conflicts((files, events))
    parser.add_conflicts(*((one, file) for one in (files, events, *filters) for file in dump))
    return parser
