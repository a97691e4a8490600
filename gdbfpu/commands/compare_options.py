# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of `gdbfpu compare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gdbfpu.commands.filter_options import FilterOptions, add_filters
from gdbfpu.commands.parser import Parser
from gdbfpu.commands.values import STANDARD_INPUT, file_name

__all__ = ("CompareOptions", "compare_parser")


@dataclass(eq=False, repr=False)
class CompareOptions(FilterOptions):
    """The options of `gdbfpu compare`: two event files, and which of their hits count."""

    before: Path = STANDARD_INPUT
    after: Path = STANDARD_INPUT
    format: str = "table"


def compare_parser() -> Parser[CompareOptions]:
    """Return the parser of `gdbfpu compare`."""
    parser = Parser(
        CompareOptions,
        prog="gdbfpu compare",
        description="Show what changed between two event files: which tasks came and went, and\n"
        "whose hits, components and findings changed. Tasks are compared by name.",
    )
    for name in ("before", "after"):
        parser.add(name, type=file_name, metavar=name.upper(),
            help="an event file, written by `fpu-trace on --out`")  # fmt: skip
    parser.add("--format", choices=("table", "json"), help="default: %(default)s")
    add_filters(parser)
    return parser
