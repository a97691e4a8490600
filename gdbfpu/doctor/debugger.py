# SPDX-License-Identifier: GPL-2.0-or-later
"""What the checks ask of a debugger, whatever it is attached to."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from gdbfpu.fpu.model import FpuModel
from gdbfpu.layouts.types import Layouts
from gdbfpu.target import Machine

__all__ = ("Breakpoint", "Debugger", "Python")


class Python(NamedTuple):
    """The Python in GDB: `versions` of both, the packages that it lacks, and how to get these.

    `path` are the folders where it looks for packages.
    """

    versions: str
    lacking: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    install: str = ""


class Breakpoint(NamedTuple):
    """A breakpoint: its number in GDB, and its address."""

    number: int
    address: int


class Debugger(Protocol):
    """GDB as the checks see it. Each answer may raise GdbFpuError, which says why there is none."""

    def python(self) -> Python:
        """Return what runs gdbfpu."""

    def architecture(self) -> str:
        """Return what GDB takes the CPU for: `i386:x86-64`."""

    def attached(self) -> bool:
        """Return whether GDB is connected to a stub, whether or not it understands it."""

    def vmlinux(self) -> Path:
        """Return the kernel that GDB was given."""

    def target(self) -> Machine:
        """Return the stopped kernel, or the dump."""

    def slide(self) -> int | None:
        """Return how far KASLR moved the kernel, in bytes; None if it was not found.

        Symbols are moved along.
        """

    def layouts(self) -> Layouts:
        """Return the kernel's types: those in vmlinux, or in the memory of the kernel."""

    def model(self) -> FpuModel:
        """Return the FPU model of the kernel."""

    def largest_read(self) -> int | None:
        """Return how many bytes GDB asks of any stub at once, None if the stub decides."""

    def monitor(self, command: str) -> str:
        """Return what QEMU's monitor answers to `command`."""

    def breakpoints(self) -> tuple[Breakpoint, ...]:
        """Return the user's software breakpoints, one for each place."""

    def device(self) -> Path | None:
        """Return the tty that GDB is attached to, None if it is another kind of connection."""

    def baud(self) -> int | None:
        """Return the rate that GDB sets a tty to, in bit/s; None if it leaves it as it is."""
