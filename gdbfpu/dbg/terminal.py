# SPDX-License-Identifier: GPL-2.0-or-later
"""GDB's terminal: what is said to the user there, how wide it is, and whether it has colour."""

from __future__ import annotations

import os

import gdb

from gdbfpu.text.screen import PLAIN, Screen

__all__ = ("hit_width", "say", "screen", "tell")


def say(text: str) -> None:
    """Print `text` and a newline."""
    gdb.write(f"{text}\n")


def tell(text: str) -> None:
    """Print `text` and a newline, with its lines broken to fit the terminal."""
    say(Screen(hit_width()).wrapped(text, "  "))


def hit_width() -> int:
    """Return the terminal's width in columns; 0 if it has no limit, or if there is no terminal."""
    return (gdb.parameter("width") or 0) if os.isatty(1) else 0


def screen(command: str, from_tty: bool) -> Screen:
    """Return the screen for the text of `command`, which GDB runs with `from_tty`.

    GDB does not tell a command where its text goes: to the terminal, to the program behind
    `pipe`, or into the string of `gdb.execute`. The text surely goes to the terminal if the user
    typed this command there, with nothing in front of it.
    """
    if not (from_tty and os.isatty(1) and _is_typed(command)):
        return PLAIN
    colour = bool(gdb.parameter("style enabled")) and "NO_COLOR" not in os.environ
    return Screen(hit_width(), colour)


def _is_typed(command: str) -> bool:
    """Return whether the last line of GDB's history begins with `command`, perhaps shortened."""
    lines = gdb.execute("show commands", False, True).splitlines() or [""]
    words = lines[-1].split()[1:2]  # after the line's number
    return bool(words) and command.startswith(words[0])
