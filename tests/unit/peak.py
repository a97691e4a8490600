# SPDX-License-Identifier: GPL-2.0-or-later
"""How much memory a piece of work takes."""

from __future__ import annotations

import tracemalloc
from typing import Callable, TypeVar

__all__ = ("peak",)

T = TypeVar("T")


def peak(work: Callable[[], T]) -> tuple[T, int]:
    """Return what `work` returns, and the most memory in bytes that Python's objects took in it.

    It is done twice, and measured the second time: the first time imports what it needs, and
    compiles that on a new machine.
    """
    work()
    tracemalloc.start()
    try:
        return work(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
