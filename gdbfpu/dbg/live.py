# SPDX-License-Identifier: GPL-2.0-or-later
"""The live table of a trace: `fpu-trace on --top` draws it while the kernel runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import gdb

from gdbfpu.dbg.scroll_area import ScrollArea
from gdbfpu.dbg.terminal import hit_width, moves_cursor, say
from gdbfpu.dbg.tui_window import LAYOUT, shown_window, tui_is_on
from gdbfpu.text.screen import Screen
from gdbfpu.trace.entries import Caught
from gdbfpu.trace.live_text import Missed, live_lines
from gdbfpu.trace.rates import Rates
from gdbfpu.trace.totals import Totals

__all__ = ("Live",)


_REST = 19  # how many times as long as it draws it does not: 5 % of the time at most


class _Place(Protocol):
    """Where the table is drawn, at most every `interval` seconds."""

    interval: float

    def room(self) -> tuple[Screen, int]:
        """Return the screen that the table is made for, and how many lines it may have."""

    def show(self, lines: Sequence[str]) -> None:
        """Draw the table while the kernel runs."""

    def end(self, lines: Sequence[str]) -> None:
        """Draw the last table, which stays."""


class _Log:
    """Writes one table below the other, where the cursor cannot be moved."""

    interval = 5.0

    def room(self) -> tuple[Screen, int]:
        # The TUI begins a new line after a full one by itself.
        return Screen(max(hit_width() - 1, 0)), 12

    def show(self, lines: Sequence[str]) -> None:
        say("\n".join(("", *lines)))
        gdb.flush()

    end = show


class Live:
    """The live table. It is drawn only when the kernel passes a probe, so it costs nothing else.

    If the TUI is on, it changes to the layout that has the table's window.
    """

    def __init__(self) -> None:
        self._rates = Rates()
        self._place: _Place | None = None  # none while the kernel is stopped
        self._now = self._next = 0.0  # when a probe was passed last; when to draw again
        if tui_is_on():
            gdb.execute(f"layout {LAYOUT}", False, True)

    def passed(self, caught: Caught | None, totals: Totals) -> None:
        """Note that the kernel passes a probe, and draw the table if it is time.

        `caught` is the hit, None if nothing was recorded. A second call changes nothing.
        """
        now = time.monotonic()
        place = self._place or self._started(now)
        if caught is not None:
            self._rates.add(caught.record)
        self._now = now
        if now >= self._next:
            place.show(self._lines(place, totals))
            done = time.monotonic()
            self._next = done + max(place.interval, _REST * (done - now))

    def stopped(self, totals: Totals) -> None:
        """Leave the last table on the screen, since the kernel has stopped."""
        place, self._place = self._place, None
        if place is not None:
            place.end(self._lines(place, totals))

    def clear(self) -> None:
        """Forget all hits."""
        self._rates = Rates()

    def _started(self, now: float) -> _Place:
        place = _place()
        self._rates.start(now)
        self._place, self._next = place, now
        return place

    def _lines(self, place: _Place, totals: Totals) -> tuple[str, ...]:
        screen, height = place.room()
        missed = Missed(totals.filtered, totals.failed)
        return live_lines(self._rates.sample(self._now, height), missed, screen, height)


def _place() -> _Place:
    """Return where to draw: in the TUI's window, on the terminal, or else as plain lines."""
    window = shown_window()
    if window is not None:
        return window
    return ScrollArea() if moves_cursor() and not tui_is_on() else _Log()
