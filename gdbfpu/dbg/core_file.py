# SPDX-License-Identifier: GPL-2.0-or-later
"""What the core file that GDB reads has left out: GDB itself shows zeros there.

Source: GDB's corelow.c, core_target::xfer_partial().
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import gdb

from gdbfpu.errors import LEFT_OUT, GdbFpuError, MemoryFault, UsageError
from gdbfpu.kernel.vmcore import Held, Vmcore

__all__ = ("check", "held_by_core")


def held_by_core() -> Held:
    """Return which virtual addresses the core file has; raise GdbFpuError if it is not found."""
    for name in _names():
        try:
            return Vmcore(Path(name)).virtual
        except UsageError:  # the executable
            continue
    raise GdbFpuError("GDB does not say which core file it reads: use `gdbfpu COMMAND --core FILE`")


def _names() -> Iterator[str]:
    """Yield the files that GDB reads, the core file among them.

    Inferior.corefile is there since GDB 17. Before, `info files` alone names the core file.
    """
    core = getattr(gdb.selected_inferior(), "corefile", None)
    if core is not None:
        yield core.filename
    for found in re.finditer(r"^\s+`(.+)', ", gdb.execute("info files", False, True), re.M):
        yield found[1]


def check(held: Held, address: int, length: int) -> None:
    """Raise MemoryFault if the core file has left out some of `length` bytes at `address`."""
    if held.left_out(address, length):
        raise MemoryFault(address, length, LEFT_OUT)
