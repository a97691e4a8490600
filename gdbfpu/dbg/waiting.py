# SPDX-License-Identifier: GPL-2.0-or-later
"""Say what we wait for while the kernel runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import gdb

from gdbfpu.dbg.terminal import say

__all__ = ("waiting",)

_AFTER = 2.0  # seconds


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """If the block of code takes long, say in a line that it waits for `what`."""
    over = threading.Event()

    def tell() -> None:
        if not over.is_set():
            say(f"fpu-trace: waiting for {what} ...")
            gdb.flush()

    timer = threading.Timer(_AFTER, gdb.post_event, (tell,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        over.set()
        timer.cancel()
