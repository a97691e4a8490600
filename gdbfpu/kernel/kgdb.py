# SPDX-License-Identifier: GPL-2.0-or-later
"""How much KGDB reads at once, and which CPUs wait to enter it.

Sources: kernel/debug/gdbstub.c and debug_core.c.
"""

from __future__ import annotations

from collections.abc import Iterator

from gdbfpu.errors import GdbFpuError
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.target import read_u32

__all__ = (
    "MAX_READ",
    "STEPPING",
    "active_cpu",
    "held",
    "knows_cpus",
    "slave_states",
    "waiting_cpus",
)

MAX_READ = 510
"""The most bytes that one read may ask of KGDB.

KGDB's reply buffer has 1,024 bytes, and KGDB does not check the length: a read of more than 511
bytes overwrites kernel memory (kernel/debug/gdbstub.c, gdb_cmd_memread).
"""

STEPPING = "kgdb_single_step"
"""The variable (int) with which KGDB keeps the other CPUs while one CPU steps.

KGDB sets it to 0 when a CPU enters. On x86, nothing sets it to 1.
"""

_WANT_MASTER, _IS_SLAVE = 1, 4  # DCPU_WANT_MASTER and DCPU_IS_SLAVE, kernel/debug/debug_core.h


def active_cpu(kernel: Kernel) -> int:
    """Return the number of the CPU that reports to us; raise MissingSymbol."""
    return read_u32(kernel.target, kernel.symbol("kgdb_active"))


def waiting_cpus(kernel: Kernel) -> tuple[int, ...]:
    """Return the CPUs that hit a breakpoint while another CPU was being debugged.

    Each of them enters KGDB as soon as the kernel resumes. KGDB forgets its breakpoints when the
    debugger detaches: then such a CPU waits in KGDB for a debugger that is gone. Other stubs have
    no such CPUs.
    """
    if not kernel.target.stub.in_kernel or not knows_cpus(kernel):
        return ()
    active = active_cpu(kernel)
    return tuple(
        cpu for cpu in kernel.online_cpus() if cpu != active and _state(kernel, cpu) & _WANT_MASTER
    )


def held(kernel: Kernel, cpu: int) -> bool:
    """Return whether KGDB holds CPU number `cpu`, which is not the one that reports to us.

    KGDB gathers the CPUs for about a second, and goes on without those that do not come.
    """
    return bool(_state(kernel, cpu) & (_WANT_MASTER | _IS_SLAVE))


def slave_states(kernel: Kernel) -> Iterator[tuple[int, int, int]]:
    """Yield the place and value of `kgdb_info[cpu].exception_state` of each CPU that waits.

    The third number (u32, as the other) is the value with which the CPU waits as a slave, and does
    not enter KGDB while another CPU steps. Raises GdbFpuError if a CPU runs.
    """
    active = active_cpu(kernel)
    for cpu in kernel.online_cpus():
        value = _IS_SLAVE if cpu == active else _state(kernel, cpu)
        if not value & (_WANT_MASTER | _IS_SLAVE):
            raise GdbFpuError(f"KGDB does not hold CPU {cpu}, which runs: try at another stop")
        if value & _WANT_MASTER:
            yield _state_place(kernel, cpu), value, (value & ~_WANT_MASTER) | _IS_SLAVE


def knows_cpus(kernel: Kernel) -> bool:
    """Return whether the kernel's variables and types say which CPUs KGDB holds."""
    state = kernel.layouts.find("debuggerinfo_struct", "exception_state")
    return state is not None and kernel.target.symbol_address("kgdb_info") is not None


def _state(kernel: Kernel, cpu: int) -> int:
    """Return `kgdb_info[cpu].exception_state` (int)."""
    return read_u32(kernel.target, _state_place(kernel, cpu))


def _state_place(kernel: Kernel, cpu: int) -> int:
    size = kernel.layouts.struct("debuggerinfo_struct").size
    offset = kernel.layouts.offset("debuggerinfo_struct", "exception_state")
    return kernel.symbol("kgdb_info") + cpu * size + offset
