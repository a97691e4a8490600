# SPDX-License-Identifier: GPL-2.0-or-later
"""The TUI window `fpu`, which shows the live table of a trace, and the layout of that name.

GDB has to know both when it loads gdbfpu, so this imports the rest when a table is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gdb

if TYPE_CHECKING:
    from gdbfpu.text.screen import Screen

__all__ = ("LAYOUT", "Window", "register_window", "shown_window", "tui_is_on")

LAYOUT = "fpu"
"""The name of the window and of the layout that has it."""

_COMMANDS = "cmd"  # GDB's name for the window of the commands, which every layout has
_IDLE = "No trace with --top has run yet: say `fpu-trace on --top`, then `continue`."

_windows: list[Window] = []  # the window that GDB shows, if it does


class Window:
    """What GDB asks of a window: draw yourself, you are gone."""

    interval = 0.4  # seconds

    lines: tuple[str, ...] = (_IDLE,)
    """What all windows of this kind show. GDB makes a new one whenever it changes the layout."""

    def __init__(self, window: Any) -> None:
        self._window = window
        window.title = "fpu-trace"
        _windows[:] = [self]

    def room(self) -> tuple[Screen, int]:
        """Return the screen of the table and how many lines it may have.

        GDB begins a new line after a full one by itself, so no line may be full.
        """
        from gdbfpu.dbg.terminal import wants_colour
        from gdbfpu.text.screen import Screen

        return Screen(max(self._window.width - 1, 1), wants_colour()), self._window.height

    def show(self, lines: Sequence[str]) -> None:
        """Replace what the window shows."""
        Window.lines = tuple(lines)
        self.render()

    end = show

    def render(self) -> None:
        """Draw the lines that fit; GDB calls this when the window's size changes."""
        if self._window.is_valid():
            self._window.write("\n".join(self.lines[: self._window.height]), True)

    def is_shown(self) -> bool:
        """Return whether GDB shows the window."""
        return bool(self._window.is_valid())

    def close(self) -> None:
        """Forget the window; GDB calls this when it removes the window."""
        _windows[:] = [each for each in _windows if each is not self]


def register_window() -> None:
    """Tell GDB of the window and the layout, if this GDB has a TUI."""
    if hasattr(gdb, "register_window_type"):
        gdb.register_window_type(LAYOUT, Window)
        gdb.execute(f"tui new-layout {LAYOUT} {LAYOUT} 2 status 0 {_COMMANDS} 1", False, True)


def shown_window() -> Window | None:
    """Return the window if GDB shows it now."""
    return next((window for window in _windows if window.is_shown()), None)


def tui_is_on() -> bool:
    """Return whether GDB's TUI is on; no function tells, but `info win` lists its windows."""
    lines = gdb.execute("info win", False, True).splitlines()
    return any(line.split()[:1] == [_COMMANDS] for line in lines)
