# SPDX-License-Identifier: GPL-2.0-or-later
"""A table that stays at the bottom of the terminal while other text scrolls above it.

GDB, the kernel's console and the keyboard write to the same terminal at any time. So the lines
above the table are the terminal's scroll area, and the cursor is always there: other text never
meets the table, and what scrolls off goes where it always goes. All that is below the cursor is
ours. This is how apt shows its progress.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

import gdb

from gdbfpu.dbg.terminal import screen_limits, screen_size, wants_colour
from gdbfpu.text.screen import Screen

__all__ = ("ScrollArea",)

_SAVE, _RESTORE = "\x1b7", "\x1b8"  # DECSC, DECRC: where the cursor is
_INDEX = "\x1bD"  # one line down, in the same column; at the bottom the screen scrolls
_ERASE_LINE, _ERASE_BELOW = "\x1b[K", "\x1b[J"  # from the cursor on
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_WHOLE = "\x1b[r"  # the scroll area is the whole screen; this moves the cursor


class ScrollArea:
    """Draws on GDB's standard output, which must be a terminal.

    It opens the terminal once more, to write without waiting: a terminal that the user has stopped
    with ^S, or a slow one, never holds the kernel. If the terminal takes only a part, the rest goes
    first at the next time.
    """

    interval = 0.4  # seconds

    def __init__(self) -> None:
        self._file = os.open(os.ttyname(1), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        self._rest = b""
        self._count = 0  # the table's lines
        self._size = (0, 0)  # of the terminal when the table was opened
        self._limits = screen_limits()

    def room(self) -> tuple[Screen, int]:
        """Return the screen of the table and its most lines; a quarter stays for other text."""
        columns, lines = (
            min(size, limit or size) for size, limit in zip(screen_size(), self._limits)
        )
        return Screen(columns, wants_colour()), lines - max(lines // 4, 2)

    def show(self, lines: Sequence[str]) -> None:
        """Replace the table by `lines`, unless the terminal does not take text now."""
        if not lines or not self._put(""):
            return
        gdb.flush()  # other text that GDB still holds belongs above the table
        size = screen_size()
        count = max(len(lines), self._count if size == self._size else 0)
        if (count, size) != (self._count, self._size):
            self._put(_opened(count))
            self._count, self._size = count, size
        self._put(_drawn(lines, size[1] - count, size[1]))

    def end(self, lines: Sequence[str]) -> None:
        """Make the whole screen scroll again, and write `lines` where the other text ends."""
        gdb.flush()
        if self._count:
            os.set_blocking(self._file, True)
            self._put(_closed(screen_size()[0]))
        os.close(self._file)
        gdb.write("".join(f"{line}\n" for line in lines))
        gdb.flush()

    def _put(self, text: str) -> bool:
        """Write what is left from before and `text`; return whether the terminal took it all."""
        self._rest += text.encode()
        with suppress(OSError):  # it is full, or gone
            self._rest = self._rest[os.write(self._file, self._rest) :]
        return not self._rest


def _opened(count: int) -> str:
    """Return what makes `count` lines free below the cursor. Twice does no more than once."""
    room = f"{_INDEX * count}\x1b[{count}A"
    return f"{_SAVE}{_WHOLE}{_RESTORE}{_ERASE_BELOW}{room}"


def _closed(width: int) -> str:
    """Return what erases the table and puts the cursor at the beginning of a line.

    The spaces fill a line that is empty. On a line that is not, they go on to the next one.
    """
    return f"{_SAVE}{_WHOLE}{_RESTORE}{_ERASE_BELOW}{' ' * width}\r{_ERASE_BELOW}"


def _drawn(lines: Sequence[str], above: int, height: int) -> str:
    """Return what draws `lines` below the first `above` of `height` lines, which then scroll."""
    rows = [*lines, *[""] * (height - above - len(lines))]
    table = "".join(f"\x1b[{above + n}H{_ERASE_LINE}{line}" for n, line in enumerate(rows, 1))
    return f"{_SAVE}\x1b[1;{above}r{_NO_WRAP}{table}{_WRAP}{_RESTORE}"
