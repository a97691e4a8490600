# SPDX-License-Identifier: GPL-2.0-or-later
"""thread_info.flags: which bit is TIF_NEED_FPU_LOAD in this kernel (since 5.2, 5f409e20b794).

While the bit is set, the CPU does not hold the registers of the task; they are in memory.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice

from gdbfpu.errors import MemoryFault
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.target import read_u64

__all__ = ("OLDER_NEED_FPU_LOAD", "need_fpu_load_bit", "read_thread_flags")

OLDER_NEED_FPU_LOAD = 14
"""The number of the bit from 5.2 on; a macro, so not in DWARF."""

_NEWER_NEED_FPU_LOAD = 19  # from 6.18 on (generic TIF bits)
_WITNESSES = 8  # sleeping tasks to look at, to see which of the two bits the kernel uses


def read_thread_flags(kernel: Kernel, task: int) -> int:
    """Return `thread_info.flags` (u64) of the task_struct at `task`; raise MemoryFault."""
    return read_u64(kernel.target, task + kernel.layouts.offset("task_struct", "thread_info.flags"))


def need_fpu_load_bit(kernel: Kernel) -> int:
    """Return the number of the bit that is TIF_NEED_FPU_LOAD.

    No type changed when the bit moved, so this looks at sleeping tasks. A kernel with the newer
    bit sets it for every task that leaves a CPU. Earlier kernels set their bit only when the task
    comes back. If the tasks do not show which bit it is, this returns the older bit.
    """
    running = {kernel.current_task(cpu) for cpu in kernel.online_cpus()}
    users = (t.address for t in kernel.tasks() if not t.kthread and t.address not in running)
    common = ~0
    with suppress(MemoryFault):  # a list that breaks off, in a dump that lacks a task
        for task in islice(users, _WITNESSES):
            common &= read_thread_flags(kernel, task)
    bits = (OLDER_NEED_FPU_LOAD, _NEWER_NEED_FPU_LOAD)
    found = [bit for bit in bits if common >> bit & 1]
    return found[0] if len(found) == 1 else OLDER_NEED_FPU_LOAD
