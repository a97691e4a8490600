# SPDX-License-Identifier: GPL-2.0-or-later
"""How much KGDB reads at once, and which CPUs wait to enter it.

Sources: kernel/debug/gdbstub.c and debug_core.c.
"""

from __future__ import annotations

from gdbfpu.kernel.tasks import Kernel
from gdbfpu.target import read_u32

__all__ = ("MAX_READ", "waiting_cpus")

MAX_READ = 510
"""The most bytes that one read may ask of KGDB.

KGDB's reply buffer has 1,024 bytes, and KGDB does not check the length: a read of more than 511
bytes overwrites kernel memory (kernel/debug/gdbstub.c, gdb_cmd_memread).
"""

_WANT_MASTER = 1  # DCPU_WANT_MASTER, kernel/debug/debug_core.h; a macro


def waiting_cpus(kernel: Kernel) -> tuple[int, ...]:
    """Return the CPUs that hit a breakpoint while another CPU was being debugged.

    Each of them enters KGDB as soon as the kernel resumes. KGDB forgets its breakpoints when the
    debugger detaches: then such a CPU waits in KGDB for a debugger that is gone. Other stubs have
    no such CPUs.
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
