# SPDX-License-Identifier: GPL-2.0-or-later
"""Say what we wait for while the kernel runs."""

from __future__ import annotations

import threading
from types import TracebackType

import gdb

from gdbfpu.dbg.terminal import say

__all__ = ("Waiting",)

_AFTER = 2.0  # seconds


class Waiting:
    """A context manager: if its block of code takes long, a line says that it waits for `what`."""

    def __init__(self, what: str) -> None:
        self._timer = threading.Timer(_AFTER, gdb.post_event, (self._say,))
        self._timer.daemon = True
        self._what = what
        self._over = False

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over = True
        self._timer.cancel()

    def _say(self) -> None:
        if not self._over:
            say(f"fpu-trace: waiting for {self._what} ...")
            gdb.flush()
