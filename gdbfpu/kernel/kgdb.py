# SPDX-License-Identifier: GPL-2.0-or-later
"""How much KGDB reads at once, and what its own variables tell of the CPUs that it holds.

Sources: kernel/debug/gdbstub.c and debug_core.c.
"""

from __future__ import annotations

from gdbfpu.kernel.tasks import Kernel
from gdbfpu.target import read_u32

__all__ = ("MAX_READ", "waiting_cpus")

MAX_READ = 510
"""The most bytes one read may ask of a KGDB stub.

The stub's reply buffer is 1,024 bytes and it does not check the length: more than 511 bytes
overwrite kernel memory (kernel/debug/gdbstub.c, gdb_cmd_memread).
"""

_WANT_MASTER = 1  # DCPU_WANT_MASTER, kernel/debug/debug_core.h; a macro


def waiting_cpus(kernel: Kernel) -> tuple[int, ...]:
    """Return the CPUs that hit a breakpoint while another CPU was being debugged.

    Each enters KGDB as soon as the kernel resumes. If KGDB has forgotten its breakpoints by
    then, as it does when a debugger detaches, it waits there for a debugger that is gone.
    Empty for other stubs.
    """
    state = kernel.layouts.find("debuggerinfo_struct", "exception_state")
    base = kernel.target.symbol_address("kgdb_info")
    if not kernel.target.stub.in_kernel or state is None or base is None:
        return ()
    active = read_u32(kernel.target, kernel.symbol("kgdb_active"))
    size = kernel.layouts.struct("debuggerinfo_struct").size
    return tuple(
        cpu
        for cpu in kernel.online_cpus()
        if cpu != active
        and read_u32(kernel.target, base + cpu * size + state.offset) & _WANT_MASTER
    )
