# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of `gdbfpu decode`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gdbfpu.commands.parser import Parser, Several
from gdbfpu.commands.values import file_name
from gdbfpu.xsave.formats import FORMATS

__all__ = ("DecodeOptions", "decode_parser")


@dataclass(frozen=True)
class DecodeOptions:
    """`gdbfpu decode`: `file` is the image (`-`: standard input), `image` its format or `auto`.

    `components` are those to show (empty: all).
    """

    file: Path
    image: str = "auto"
    components: tuple[str, ...] = ()
    format: str = "table"


def decode_parser() -> Parser[DecodeOptions]:
    """Return the parser of `gdbfpu decode`."""
    parser = Parser(
        DecodeOptions,
        prog="gdbfpu decode",
        description="Show what an image of the FPU's state holds.",
    )
    add = parser.add
    add("file", type=file_name, metavar="FILE", help="the image's bytes; - for standard input")
    add("--image", choices=("auto", *FORMATS), help="the format (default: %(default)s)")
    add("--component", action=Several, metavar="NAME", dest="components",
        help="show only this component (x87, SSE, AVX, ...); may be given again")  # fmt: skip
    add("--format", choices=("table", "json"), help="default: %(default)s")
    return parser
