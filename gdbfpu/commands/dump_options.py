# SPDX-License-Identifier: GPL-2.0-or-later
"""The options that name a dump and its kernel, on the command line only."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdbfpu.commands.parser import Options, Parser
from gdbfpu.commands.values import file_name, stored_file

__all__ = ("DumpFiles", "add_dump")


@dataclass(eq=False, repr=False)
class DumpFiles(Options):
    """The dump `core`, its kernel's `vmlinux`, and VMCOREINFO if the dump does not contain it."""

    core: Path | None = None
    vmlinux: Path | None = None
    vmcoreinfo: Path | None = None


def add_dump(parser: Parser[Any], required: bool = True) -> tuple[argparse.Action, ...]:
    """Add the options that name a dump, and return them."""
    core = parser.add("--core", type=stored_file, required=required, metavar="FILE",
        help="the dump: an ELF file, or a compressed one of makedumpfile or QEMU")  # fmt: skip
    vmlinux = parser.add("--vmlinux", type=stored_file, required=required, metavar="FILE",
        help="the vmlinux of the dumped kernel")  # fmt: skip
    vmcoreinfo = parser.add("--vmcoreinfo", type=file_name, metavar="FILE",
        help="the kernel's VMCOREINFO, needed if the dump has none (as dumps by QEMU)"
        )  # fmt: skip
    return core, vmlinux, vmcoreinfo
