# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults while a trace is under way, each twenty times over each stub."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from qemu.kernels import obtain
from tests.torture.fault import row
from tests.torture.faults_debugger import FAULTS as DEBUGGER
from tests.torture.faults_guest import FAULTS as GUEST
from tests.torture.faults_machine import FAULTS as MACHINE
from tests.torture.lab import Lab
from tests.torture.row import Row

__all__ = ("KERNEL", "rows")

TIMES = 20
KERNEL = "kgdb-5.10"
FAULTS = (*MACHINE, *DEBUGGER, *GUEST)


def rows(divisor: int, stub: str) -> Iterator[Row]:
    """Let each fault happen over `stub`."""
    kernel = obtain(KERNEL)
    with (
        tempfile.TemporaryDirectory(prefix="gdbfpu-") as folder,
        Lab(kernel, stub, Path(folder)) as lab,
    ):
        for fault in FAULTS:
            if stub in fault.stubs:
                yield row(fault, lab, TIMES // divisor)
