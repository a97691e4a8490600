# SPDX-License-Identifier: GPL-2.0-or-later
"""Say what we wait for while the kernel runs, and do not wait for ever."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import gdb

from gdbfpu.dbg.terminal import say, say_now
from gdbfpu.dbg.tui_window import tui_is_on

__all__ = ("alarm", "waiting")

_AFTER = 2.0  # seconds


@contextmanager
def alarm(seconds: float | None) -> Iterator[None]:
    """Press ^C after `seconds`, unless the block of code has ended. KGDB does not hear it."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """If the block of code takes long, say in a line that it waits for `what`."""
    over = threading.Event()

    def tell() -> None:
        if not over.is_set():
            (say if tui_is_on() else say_now)(f"fpu-trace: waiting for {what} ...")

    timer = threading.Timer(_AFTER, gdb.post_event, (tell,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        over.set()
        timer.cancel()
