# SPDX-License-Identifier: GPL-2.0-or-later
"""The options that name a dump and its kernel, beside those that a command has in GDB."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdbfpu.commands.parser import Parser
from gdbfpu.commands.values import file_name, stored_file

__all__ = ("DumpFiles", "add_dump")


@dataclass(frozen=True)
class DumpFiles:
    """The dump `core`, that kernel's `vmlinux`, and its VMCOREINFO where the dump has none."""

    core: Path | None = None
    vmlinux: Path | None = None
    vmcoreinfo: Path | None = None


def add_dump(parser: Parser[Any], required: bool = True) -> tuple[argparse.Action, ...]:
    """Add the options that name a dump, and return them."""
    core = parser.add("--core", type=stored_file, required=required, metavar="FILE",
        help="the dump, as makedumpfile writes it")  # fmt: skip
    vmlinux = parser.add("--vmlinux", type=stored_file, required=required, metavar="FILE",
        help="that kernel's vmlinux")  # fmt: skip
    vmcoreinfo = parser.add("--vmcoreinfo", type=file_name, metavar="FILE",
        help="the kernel's VMCOREINFO; only for a dump without, as QEMU writes")  # fmt: skip
    return core, vmlinux, vmcoreinfo
