# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of `gdbfpu export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gdbfpu.commands.filter_options import FilterOptions, add_filters
from gdbfpu.commands.parser import Parser
from gdbfpu.commands.values import STANDARD_INPUT, file_name
from gdbfpu.report.folded import ROOTS

__all__ = ("FORMS", "ExportOptions", "export_parser")

FORMS = {
    "csv": "a row for each hit",
    "folded": "call paths, for flame graph tools",
    "html": "a page with all of it, for a browser; it needs no network",
    "markdown": "the report, to paste into a mail or an issue",
    "perfetto": "a timeline, for https://ui.perfetto.dev and chrome://tracing",
}
"""What an event file can be written as, and what that is."""


@dataclass(eq=False, repr=False)
class ExportOptions(FilterOptions):
    """The options of `gdbfpu export`.

    `file` is the event file, `to` a key of FORMS, `root` a key of ROOTS, `out` a new file to write.
    """

    file: Path = STANDARD_INPUT
    to: str = ""
    root: str = "task"
    out: Path | None = None


def export_parser() -> Parser[ExportOptions]:
    """Return the parser of `gdbfpu export`."""
    forms = "\n".join(f"  {name:9} {what}" for name, what in FORMS.items())
    parser = Parser(
        ExportOptions,
        prog="gdbfpu export",
        description=f"Write an event file of `fpu-trace on --out` in another form:\n{forms}",
    )
    add = parser.add
    add("file", type=file_name, metavar="FILE", help="the event file; - for standard input")
    add("--to", choices=tuple(FORMS), required=True, help="the form")
    add("--root", choices=tuple(ROOTS),
        help="the outermost frame of a folded stack (default: %(default)s)")  # fmt: skip
    add("--out", type=file_name, metavar="FILE", help="write to this new file")
    add_filters(parser)
    return parser
