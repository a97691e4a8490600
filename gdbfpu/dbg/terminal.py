# SPDX-License-Identifier: GPL-2.0-or-later
"""GDB's terminal: what is said to the user there, how wide it is, and whether it has colour."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gdb

from gdbfpu.dbg.parameters import COLOUR
from gdbfpu.text.screen import Screen

__all__ = (
    "hit_width",
    "moves_cursor",
    "run_kernel",
    "say",
    "say_now",
    "screen",
    "screen_limits",
    "screen_size",
    "tell",
    "wants_colour",
)


_held: list[list[str]] = []  # what was said while GDB's own words are dropped


def run_kernel() -> None:
    """Let the kernel run for gdbfpu itself until it stops; raise gdb.error, KeyboardInterrupt.

    GDB's words about the stop are dropped. What gdbfpu says at hits meanwhile is shown afterwards:
    GDB writes it into the same string.
    """
    with _holding():
        gdb.execute("continue", False, True)


@contextmanager
def _holding() -> Iterator[None]:
    _held.append([])
    try:
        yield
    finally:
        for text in _held.pop():
            say(text)


def say(text: str) -> None:
    """Print `text` and a newline."""
    if _held:
        _held[-1].append(text)
    else:
        gdb.write(f"{text}\n")


def say_now(text: str) -> None:
    """Print `text` and a newline, on a terminal at once, even while `run_kernel` runs."""
    if _held and moves_cursor():
        os.write(1, f"{text}\n".encode())
    else:
        say(text)
    gdb.flush()


def tell(text: str) -> None:
    """Print `text` and a newline, with its lines broken to fit the terminal."""
    say(Screen(hit_width()).wrapped(text, "  "))


def hit_width() -> int:
    """Return the terminal's width in columns; 0 if it has no limit, or if there is no terminal."""
    return (gdb.parameter("width") or 0) if _on_terminal() else 0


def screen(command: str, from_tty: bool) -> Screen:
    """Return the screen for the text of `command`, which GDB runs with `from_tty`.

    GDB does not tell a command where its text goes: to the terminal, to the program behind
    `pipe`, or into the string of `gdb.execute`. The text surely goes to the terminal if the user
    typed this command there, with nothing in front of it.
    """
    seen = from_tty and _on_terminal() and _is_typed(command)
    colour = wants_colour() if seen else bool(gdb.parameter(COLOUR))
    return Screen(hit_width() if seen else 0, colour)


def wants_colour() -> bool:
    """Return whether the user wants colours on the terminal."""
    colour = gdb.parameter(COLOUR)
    if colour is None:
        colour = bool(gdb.parameter("style enabled")) and "NO_COLOR" not in os.environ
    return bool(colour)


def moves_cursor() -> bool:
    """Return whether standard output is a terminal on which a program may move the cursor.

    A front end that speaks GDB/MI may read GDB's output through a terminal, too.
    """
    return _on_terminal() and os.environ.get("TERM", "dumb") != "dumb" and not _machine_interface()


def screen_size() -> tuple[int, int]:
    """Return the columns and lines of the terminal; one that does not know them has 80 x 24."""
    columns, lines = os.get_terminal_size(1)
    return columns or 80, lines or 24


def screen_limits() -> tuple[int, int]:
    """Return how many columns and lines of the terminal the user wants to be used, 0 for all.

    GDB sets `width` and `height` to the terminal's size, but only at a prompt. So a setting that
    differs from the size now is the user's own.
    """
    wanted = (gdb.parameter("width") or 0, gdb.parameter("height") or 0)
    columns, lines = (0 if limit == size else limit for limit, size in zip(wanted, screen_size()))
    return columns, lines


def _machine_interface() -> bool:
    """Return whether GDB was started with another interpreter than its console, such as MI.

    GDB has no other way to tell. Its options may be shortened and begin with one or two dashes.
    """
    words = Path("/proc/self/cmdline").read_bytes().split(b"\0")
    for word, following in zip(words, [*words[1:], b""]):
        name, equals, value = word.lstrip(b"-").partition(b"=")
        if word.startswith(b"-") and name and b"interpreter".startswith(name):
            return (value if equals else following) not in (b"console", b"tui")
    return False


def _on_terminal() -> bool:
    """Return whether GDB writes to a terminal, not only to the file of `set logging redirect`."""
    redirected = gdb.parameter("logging redirect") and gdb.parameter("logging enabled")
    return os.isatty(1) and not redirected


def _is_typed(command: str) -> bool:
    """Return whether the last line of GDB's history begins with `command`, perhaps shortened."""
    lines = gdb.execute("show commands", False, True).splitlines() or [""]
    words = lines[-1].split()[1:2]  # after the line's number
    return bool(words) and command.startswith(words[0])
