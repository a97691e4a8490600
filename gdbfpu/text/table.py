# SPDX-License-Identifier: GPL-2.0-or-later
"""Make tables and coloured text; nothing is printed here.

This imports tabulate and pygments when they are first needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gdbfpu.errors import UsageError

__all__ = ("padded", "paint", "table")


def table(rows: Iterable[Sequence[Any]], headers: Sequence[str], align: Sequence[str] = ()) -> str:
    """Return `rows` as a plain table under `headers`; values are not reformatted.

    Raises UsageError if tabulate is not installed.
    """
    try:
        from tabulate import tabulate
    except ImportError as error:
        message = "tables need the Python package tabulate: install it, or ask for JSON"
        raise UsageError(message) from error
    filled = list(rows)
    # Without rows tabulate 0.9 has no columns to align, and says so with an IndexError.
    aligned = tuple(align) if filled else ()
    return tabulate(
        filled, headers, tablefmt="simple", disable_numparse=True, colalign=aligned or None
    )


def paint(text: str, colour: str, on: bool) -> str:
    """Return `text` in `colour` (a name that pygments knows) if `on`, else unchanged."""
    if not on:
        return text
    try:
        from pygments.console import colorize
    except ImportError as error:
        message = "colour needs the Python package pygments: install it, or set NO_COLOR"
        raise UsageError(message) from error
    return str(colorize(colour, text))


def padded(text: str, columns: int) -> str:
    """Return `text`, filled with spaces to `columns` columns of a terminal.

    A Chinese or Japanese character takes two columns, a combining accent none. tabulate uses
    wcwidth in the same way if it is installed.
    """
    if text.isascii():
        return text.ljust(columns)
    from wcwidth import wcswidth

    return text + " " * (columns - wcswidth(text))
