# SPDX-License-Identifier: GPL-2.0-or-later
"""Warn of conditions that GDB cannot test without a step, if a step is a risk."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import gdb

from gdbfpu.errors import GdbFpuError
from gdbfpu.kernel.tasks import Kernel

__all__ = ("warn_of_conditions",)

_TOLD: set[tuple[int, str]] = set()
_FUNCTIONS = "$fpu_"  # how the names of gdbfpu's functions begin


def warn_of_conditions(breakpoints: Iterable[Any], kernel: Kernel) -> None:
    """Warn once of each of `breakpoints` whose condition calls gdbfpu, if a step is a risk.

    If the condition is false, GDB steps over the breakpoint. Over KGDB with several CPUs, a hit on
    another CPU then crashes GDB. GDB reports a breakpoint as modified at each of its hits, so this
    reads nothing from the kernel unless a condition calls gdbfpu.
    """
    for point in breakpoints:
        told = (point.number, point.condition)
        if point.number > 0 and _FUNCTIONS in (point.condition or "") and told not in _TOLD:
            _TOLD.add(told)
            with suppress(GdbFpuError, gdb.error):  # the kernel cannot be asked now
                _warn(point, kernel)


def _warn(point: Any, kernel: Kernel) -> None:
    if kernel.target.stub.in_kernel and (cpus := len(kernel.online_cpus())) > 1:
        gdb.write(
            f"warning: breakpoint {point.number}: when its condition is false, GDB steps over the "
            f"breakpoint. Over KGDB with {cpus} CPUs, the step can crash GDB. Use this instead:\n"
            f"  fpu-trace on --stop --if '{point.condition}'\n",
            gdb.STDERR,
        )
