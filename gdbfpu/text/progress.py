# SPDX-License-Identifier: GPL-2.0-or-later
"""Progress of what takes long."""

from __future__ import annotations

import time
from typing import Callable

__all__ = ("Progress",)

_AFTER = 2.0  # seconds


class Progress:
    """Says how far the reading of `what` is, every two seconds once it has taken so long.

    `say` takes each line, without a newline.
    """

    def __init__(self, what: str, say: Callable[[str], object]) -> None:
        self._what = what
        self._say = say
        self._next = time.monotonic() + _AFTER

    def __call__(self, done: int, total: int | None = None) -> None:
        """Note that `done` (of `total`) are read."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _AFTER
            of = f" of {total}" if total else ""
            self._say(f"reading {self._what}: {done}{of} so far ...")
