# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of `gdbfpu layout`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gdbfpu.commands.parser import Options, Parser
from gdbfpu.commands.values import stored_file

__all__ = ("LayoutOptions", "layout_parser")


@dataclass(eq=False, repr=False)
class LayoutOptions(Options):
    """The options of `gdbfpu layout`: the `vmlinux`, and `table` or `json` as the `format`."""

    vmlinux: Path
    format: str = "table"


def layout_parser() -> Parser[LayoutOptions]:
    """Return the parser of `gdbfpu layout`."""
    parser = Parser(
        LayoutOptions,
        prog="gdbfpu layout",
        description="Show the layouts of the kernel types that gdbfpu reads.",
    )
    parser.add("vmlinux", type=stored_file, metavar="VMLINUX", help="the kernel, with DWARF or BTF")
    parser.add("--format", choices=("table", "json"), help="default: %(default)s")
    return parser
