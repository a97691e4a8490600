# SPDX-License-Identifier: GPL-2.0-or-later
"""Convenience variables that count what became of hits, for scripts."""

from __future__ import annotations

import gdb

__all__ = ("set_counters", "start_counters")


def set_counters(hits: int, errors: int) -> None:
    """Set $_fpu_hits and $_fpu_errors: how many hits were recorded, and how many could not be."""
    gdb.set_convenience_variable("_fpu_hits", hits)
    gdb.set_convenience_variable("_fpu_errors", errors)


def start_counters() -> None:
    """Set both to 0, unless gdbfpu was loaded before."""
    if gdb.convenience_variable("_fpu_hits") is None:
        set_counters(0, 0)
