# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of `gdbfpu decode`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from gdbfpu.commands.names import components
from gdbfpu.commands.parser import Options, Parser, Several
from gdbfpu.commands.values import file_name, number
from gdbfpu.xsave.cpus import Cpu
from gdbfpu.xsave.formats import FORMATS

__all__ = ("DecodeOptions", "decode_parser")


@dataclass(eq=False, repr=False)
class DecodeOptions(Options):
    """The options of `gdbfpu decode`.

    `file` is an image or a core file (`-`: standard input), `image` its format or `auto`.
    `thread` is the thread of a core file to show (None: all). `cpu` is the vendor of the CPU that
    wrote the image, `cpuid` a file with the tables of that CPU (None: not known). `components`
    are those to show (empty: all).
    """

    file: Path
    image: str = "auto"
    thread: int | None = None
    cpu: Cpu | None = None
    cpuid: Path | None = None
    components: tuple[str, ...] = ()
    format: str = "table"


def decode_parser() -> Parser[DecodeOptions]:
    """Return the parser of `gdbfpu decode`."""
    parser = Parser(
        DecodeOptions,
        prog="gdbfpu decode",
        description="Show what an FPU state image contains, or each image in a core file.",
    )
    add = parser.add
    add(
        "file",
        type=file_name,
        metavar="FILE",
        help="the bytes of an image, or a core file; - for standard input",
    )
    image = add(
        "--image", choices=("auto", *FORMATS), help="the image's format (default: %(default)s)"
    )
    thread = add("--thread", type=number, metavar="LWP",
        help="show only this thread of a core file")  # fmt: skip
    cpu = add("--cpu", type=_cpu, metavar="intel|amd", completions=[one.value for one in Cpu],
        help="vendor of the CPU that wrote the image: Intel and AMD use different offsets"
        )  # fmt: skip
    cpuid = add("--cpuid", type=file_name, metavar="FILE",
        help="take sizes and offsets from FILE: the output of `cpuid -r` on that CPU, or "
        "xstate_offsets and xstate_sizes of its kernel")  # fmt: skip
    add("--component", action=Several, metavar="NAME", dest="components",
        completions=components,
        help="show only this component (x87, SSE, AVX, ...); may be repeated")  # fmt: skip
    add("--format", choices=("table", "json"), help="default: %(default)s")
    parser.add_conflicts((cpu, cpuid), (image, thread))
    return parser


def _cpu(text: str) -> Cpu:
    """Return the vendor that `text` names."""
    try:
        return Cpu(text.lower())
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is neither intel nor amd") from error
