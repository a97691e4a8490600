# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults while a trace is under way, each twenty times over each stub."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path

from qemu.kernels import obtain
from tests.torture.fault import row
from tests.torture.faults_debugger import FAULTS as DEBUGGER
from tests.torture.faults_guest import FAULTS as GUEST
from tests.torture.faults_machine import FAULTS as MACHINE
from tests.torture.lab import STUBS, Lab
from tests.torture.row import Row

__all__ = ("KERNEL", "rows")

TIMES = 20
KERNEL = "kgdb-5.10"
FAULTS = (*MACHINE, *DEBUGGER, *GUEST)


def rows(divisor: int) -> Iterator[Row]:
    """Let each fault happen over each stub, both stubs at the same time."""
    kernel, done = obtain(KERNEL), []
    with ExitStack() as closing:
        for stub in STUBS:
            folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="gdbfpu-")))
            lab = closing.enter_context(Lab(kernel, stub, folder))
            pool = closing.enter_context(ThreadPoolExecutor(1))
            faults = (fault for fault in FAULTS if stub in fault.stubs)
            done += [pool.submit(row, fault, lab, TIMES // divisor) for fault in faults]
        for each in as_completed(done):
            yield each.result()
