# SPDX-License-Identifier: GPL-2.0-or-later
"""Find the per-CPU areas of the kernel."""

from __future__ import annotations

import struct

from gdbfpu.errors import CorruptState
from gdbfpu.target import Memory, read_u32

__all__ = ("MAX_CPUS", "cpu_offsets")

MAX_CPUS = 8192
"""The largest number of CPUs that we believe (CONFIG_NR_CPUS cannot be larger on x86)."""


def cpu_offsets(target: Memory) -> tuple[int, ...]:
    """Return, for each CPU, what to add to the symbol of a per-CPU variable to get its address.

    A uniprocessor kernel has no such areas; the result is a single 0. Raises CorruptState.
    """
    table, ids = target.symbol_address("__per_cpu_offset"), target.symbol_address("nr_cpu_ids")
    if table is None or ids is None:  # a uniprocessor kernel: per-CPU variables are ordinary ones
        return (0,)
    count = read_u32(target, ids)
    if not 0 < count <= MAX_CPUS:
        raise CorruptState(
            f"nr_cpu_ids is {count}, not 1 to {MAX_CPUS}: does vmlinux match the kernel?"
        )
    data = target.read_memory(table, 8 * count)
    return struct.unpack(f"<{count}Q", data)
