# SPDX-License-Identifier: GPL-2.0-or-later
"""Make tables and coloured text; nothing is printed here.

This imports tabulate and pygments when they are first needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gdbfpu.errors import UsageError
from gdbfpu.text.fit import KEEP, Columns, Fit, fitted
from gdbfpu.text.screen import PLAIN, Screen

__all__ = ("coloured", "padded", "paint", "table")


def table(
    rows: Iterable[Sequence[Any]],
    headers: Sequence[str],
    align: Sequence[str] = (),
    screen: Screen = PLAIN,
    fit: Fit = KEEP,
) -> str:
    """Return `rows` as a plain table under `headers`; values stay as they are.

    If the table is too wide for `screen`, `fit` says how to make it narrower. A line below the
    table says which columns are left out. Raises UsageError if tabulate is not installed.
    """
    try:
        from tabulate import tabulate
    except ImportError as error:
        message = "tables need the Python package tabulate: install it, or ask for JSON"
        raise UsageError(message) from error
    lines = [[str(cell) for cell in row] for row in rows]
    cells = [list(column) for column in zip(*lines)] if lines else [[] for _ in headers]
    columns = Columns(list(headers), cells, list(align))
    gone = fitted(columns, screen.width, fit) if screen.width else ()
    text = tabulate(
        list(zip(*columns.cells)),
        [_bold(heading, screen.colour) for heading in columns.headings],
        tablefmt="simple",
        disable_numparse=True,
        # Without rows tabulate 0.9 has no columns to align, and says so with an IndexError.
        colalign=tuple(columns.align) if columns.align and lines else None,
    )
    return f"{text}{_remark(gone, screen)}"


def _bold(heading: str, on: bool) -> str:
    return "\n".join(paint(line, "bold", on) for line in heading.split("\n"))


def _remark(gone: Sequence[str], screen: Screen) -> str:
    if not gone:
        return ""
    text = f"left out, to fit {screen.width} columns: {', '.join(gone)} (`set width 0` shows all)"
    return "\n" + screen.wrapped(text, "  ")


def paint(text: str, colour: str, on: bool) -> str:
    """Return `text` in `colour` (a name that pygments knows) if `on`, else unchanged."""
    if not on:
        return text
    with coloured():
        from pygments.console import colorize
    return str(colorize(colour, text))


@contextmanager
def coloured() -> Iterator[None]:
    """Within it pygments is imported; raise UsageError if it is not installed."""
    try:
        yield
    except ImportError as error:
        message = "colour needs the Python package pygments: install it, or set NO_COLOR"
        raise UsageError(message) from error


def padded(text: str, columns: int) -> str:
    """Return `text`, filled with spaces to `columns` columns of a terminal.

    A Chinese or Japanese character takes two columns, a combining accent none. tabulate uses
    wcwidth in the same way if it is installed.
    """
    if text.isascii():
        return text.ljust(columns)
    from wcwidth import wcswidth

    return text + " " * (columns - wcswidth(text))
