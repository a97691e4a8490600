# SPDX-License-Identifier: GPL-2.0-or-later
"""Make a cell of a table shorter, in a way that shows."""

from __future__ import annotations

from gdbfpu.text.fit import columns_of

__all__ = ("cut", "few")


def cut(text: str, columns: int) -> str:
    """Return `text` in at most `columns` columns of a terminal, at least 1; a `~` ends a cut."""
    if columns_of(text) <= columns:
        return text
    text = text[: columns - 1]
    while columns_of(text) >= columns:  # a Chinese or Japanese character takes two columns
        text = text[:-1]
    return f"{text}~"


def few(components: str, columns: int) -> str:
    """Return the components that fit in `columns`, and how many more there are: `x87|SSE +2`.

    The first component stays, even if it does not fit.
    """
    names = components.split("|")
    shown = components
    for count in range(len(names) - 1, 0, -1):
        if len(shown) <= columns:
            break
        shown = f"{'|'.join(names[:count])} +{len(names) - count}"
    return shown
