# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables as text, and colour. Returned, never printed.

tabulate and pygments are imported when they are first needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gdbfpu.errors import UsageError

__all__ = ("paint", "table")


def table(rows: Iterable[Sequence[Any]], headers: Sequence[str], align: Sequence[str] = ()) -> str:
    """Return `rows` as a plain table under `headers`; values stay as they are.

    Raises UsageError where tabulate is not installed.
    """
    try:
        from tabulate import tabulate
    except ImportError as error:
        message = "tables need the Python package tabulate: install it, or ask for JSON"
        raise UsageError(message) from error
    return tabulate(
        rows, headers, tablefmt="simple", disable_numparse=True, colalign=tuple(align) or None
    )


def paint(text: str, colour: str, on: bool) -> str:
    """Return `text` in `colour` (a name that pygments knows) when `on`, else as it is."""
    if not on:
        return text
    from pygments.console import colorize

    return str(colorize(colour, text))
