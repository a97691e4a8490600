# SPDX-License-Identifier: GPL-2.0-or-later
"""Progress of what takes long, on GDB's terminal."""

from __future__ import annotations

import time

import gdb

__all__ = ("Progress",)

_AFTER = 2.0  # seconds


class Progress:
    """Says how far the reading of `what` is, every two seconds once it has taken so long."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._next = time.monotonic() + _AFTER

    def __call__(self, done: int, total: int | None = None) -> None:
        """Note that `done` (of `total`) are read."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _AFTER
            gdb.write(f"reading {self._what}: {done}{f' of {total}' if total else ''} so far ...\n")
            gdb.flush()
