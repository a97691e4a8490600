# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of `fpu-info`."""

from __future__ import annotations

from dataclasses import dataclass

from gdbfpu.commands.dump_options import add_dump
from gdbfpu.commands.from_cpu_options import add_from_cpu
from gdbfpu.commands.parser import Options, Parser

__all__ = ("InfoOptions", "info_parser")


@dataclass(eq=False, repr=False)
class InfoOptions(Options):
    """The options of `fpu-info`: `format` is `table` or `json`; `from_cpu` asks the stopped CPU."""

    format: str = "table"
    from_cpu: bool = False


def info_parser(stopped: bool = True) -> Parser[InfoOptions]:
    """Return the parser of `fpu-info`, or of `gdbfpu info` if no kernel is `stopped`."""
    parser = Parser(
        InfoOptions,
        prog="fpu-info" if stopped else "gdbfpu info",
        description="Show how the kernel handles the FPU, and whose state CPUs hold.\n"
        "It also shows where each value was read from.",
    )
    parser.add("--format", choices=("table", "json"), help="default: %(default)s")
    if stopped:
        add_from_cpu(parser)
    else:
        add_dump(parser)
    return parser
