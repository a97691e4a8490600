# SPDX-License-Identifier: GPL-2.0-or-later
"""The stubs through which we read a kernel, and what each can do."""

from __future__ import annotations

from gdbfpu.kernel.kgdb import MAX_READ
from gdbfpu.target import Stub

__all__ = ("CORE", "KGDB", "QEMU")

_GAP, _RUN = 1024, 2000  # bytes; a packet of QEMU's gdbstub has up to 2,046, a dump has no limit

KGDB = Stub(
    "kgdb",
    read_run=MAX_READ,
    read_gap=24,  # on a serial line, 24 more bytes take about as long as one more packet
    max_read=MAX_READ,
    in_kernel=True,
    threads_are_tasks=True,
)
"""KGDB, the stub in the kernel itself (kernel/debug/gdbstub.c)."""

QEMU = Stub("qemu", read_run=_RUN, read_gap=_GAP, shows_vector_registers=True)
"""QEMU's gdbstub, which shows a machine from outside."""

CORE = Stub("core", read_run=_RUN, read_gap=_GAP, runs=False)
"""A memory dump, through GDB or drgn."""
