# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of `fpu-doctor` and of `gdbfpu doctor`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdbfpu.commands.parser import Options, Parser
from gdbfpu.commands.values import file_name, number, stored_file

__all__ = ("DoctorOptions", "ShellDoctorOptions", "doctor_parser")

_ABOUT = "Name what keeps gdbfpu from working, and how to mend it.\n"
_IN_GDB = "It looks at GDB, its connection and the kernel, whatever of these there is."
_IN_SHELL = "It looks at GDB, at a vmlinux, and at the serial line to a machine with KGDB."
_STATUS = "exit status: 0 if nothing is wrong, 1 if there is trouble."
_FORMATS = ("table", "json")


@dataclass(eq=False, repr=False)
class DoctorOptions(Options):
    """The options of `fpu-doctor`: `format` is `table` or `json`."""

    format: str = "table"


@dataclass(eq=False, repr=False)
class ShellDoctorOptions(Options):
    """The options of `gdbfpu doctor`.

    `vmlinux` is the kernel to debug, `device` what leads to it (a tty or a Unix socket), `baud` the
    line's rate in bits per second.
    """

    vmlinux: Path | None = None
    baud: int | None = None
    device: Path | None = None
    format: str = "table"


def doctor_parser(stopped: bool = True) -> Parser[Any]:
    """Return the parser of `fpu-doctor`, or of `gdbfpu doctor` if it runs without GDB."""
    parser: Parser[Any]
    if stopped:
        parser = Parser(DoctorOptions, prog="fpu-doctor", description=_ABOUT + _IN_GDB)
    else:
        parser = Parser(
            ShellDoctorOptions,
            prog="gdbfpu doctor",
            description=_ABOUT + _IN_SHELL,
            epilog=_STATUS,
        )
        parser.add(
            "vmlinux", nargs="?", type=stored_file, metavar="VMLINUX", help="the kernel to debug"
        )
        parser.add(
            "--baud", type=_rate, metavar="RATE", help="the rate of the serial line, in bit/s"
        )
        parser.add(
            "--device",
            type=file_name,
            metavar="DEVICE",
            help="ask who answers on this tty or Unix socket; GDB must not be attached to it",
        )
    parser.add("--format", choices=_FORMATS, help="default: %(default)s")
    return parser


def _rate(text: str) -> int:
    rate = number(text)
    if not rate:
        raise argparse.ArgumentTypeError("a line with 0 bit/s carries nothing")
    return rate
