# SPDX-License-Identifier: GPL-2.0-or-later
"""Say how much of a slow read is done."""

from __future__ import annotations

import time
from typing import Callable

__all__ = ("Progress",)

_INTERVAL = 2.0  # seconds


class Progress:
    """Writes every two seconds how much of `what` has been read.

    `say` is called with each line, without a newline.
    """

    def __init__(self, what: str, say: Callable[[str], object]) -> None:
        self._what = what
        self._say = say
        self._next = time.monotonic() + _INTERVAL

    def __call__(self, done: int, total: int | None = None) -> None:
        """Note that `done` units have been read, of `total` (None: unknown)."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _INTERVAL
            of = f" of {total}" if total else ""
            self._say(f"reading {self._what}: {done}{of} so far ...")
