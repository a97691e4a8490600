# SPDX-License-Identifier: GPL-2.0-or-later
"""Warn of conditions that GDB cannot test without a step where a step is a risk."""

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
    """Warn once of each of `breakpoints` that asks gdbfpu in its condition, where that is a risk.

    Where the condition is false, GDB steps over the breakpoint: over KGDB with several CPUs a
    hit of another one then ends GDB. GDB tells of a breakpoint at each of its hits, so nothing is
    read of the kernel before there is such a condition.
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
            f"warning: breakpoint {point.number}: where its condition is false GDB steps, which "
            f"over KGDB with {cpus} CPUs ends GDB; instead of it say\n"
            f"  fpu-trace on --stop --if '{point.condition}'\n",
            gdb.STDERR,
        )
