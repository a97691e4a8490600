# SPDX-License-Identifier: GPL-2.0-or-later
"""Make a table's columns fit a width: shorten cells, leave columns out, break lines."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Callable

__all__ = ("KEEP", "Columns", "Fit", "columns_of", "fitted")

_HEADING = 9  # the most columns of a heading's line, if the heading is broken into lines
_LEAST = 10  # the fewest columns to which a cell is broken
_PADDING = 2  # columns that tabulate adds to a heading
_GAP = 2  # columns of the terminal between two columns of a table
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Fit:
    """How to make a table narrower. Each column is named by its heading.

    `short` makes a cell shorter. `drop` are the columns to leave out, the least useful one
    first. In the columns of `wrap`, long lines are broken.
    """

    drop: tuple[str, ...] = ()
    wrap: tuple[str, ...] = ()
    short: Mapping[str, Callable[[str], str]] = field(default_factory=dict)


KEEP = Fit()
"""For a table that is already narrow enough."""


@dataclass
class Columns:
    """A table by columns: headings, cells, and how each is aligned (empty: left)."""

    headings: list[str]
    cells: list[list[str]]
    align: list[str]

    def width(self) -> int:
        """Return how many columns of a terminal the table takes."""
        widths = [
            max([columns_of(heading) + _PADDING, *map(columns_of, cells)])
            for heading, cells in zip(self.headings, self.cells)
        ]
        return sum(widths) + _GAP * (len(widths) - 1)

    def remove(self, at: int) -> None:
        """Leave out column number `at`."""
        for part in (self.headings, self.cells, self.align):
            del part[at : at + 1]


def columns_of(text: str) -> int:
    """Return how many columns of a terminal the longest line of `text` takes."""
    lines = (_ESCAPES.sub("", line) for line in text.split("\n"))
    return max(map(_line_width, lines))


def _line_width(line: str) -> int:
    if line.isascii():
        return len(line)
    from wcwidth import wcswidth

    return int(wcswidth(line))


def fitted(table: Columns, width: int, fit: Fit) -> tuple[str, ...]:
    """Make `table` at most `width` columns wide if `fit` allows it; return the columns left out."""
    if table.width() <= width:
        return ()
    names = list(table.headings)
    for at, name in enumerate(names):
        table.headings[at] = _broken_heading(name)
        if short := fit.short.get(name):
            table.cells[at] = [short(cell) for cell in table.cells[at]]
    gone = []
    for name in fit.drop:
        if table.width() > width and name in names:
            table.remove(names.index(name))
            names.remove(name)
            gone.append(name)
    _break_cells(table, [names.index(name) for name in fit.wrap if name in names], width)
    return tuple(gone)


def _break_cells(table: Columns, places: Sequence[int], width: int) -> None:
    """Break the cells of the columns at `places` at the greatest width that lets all fit.

    It is found by halving: a table may have a thousand cells, and a cell a thousand columns.
    """
    widest = max((columns_of(cell) for at in places for cell in table.cells[at]), default=0)
    whole = list(table.cells)

    def fits(room: int) -> bool:
        for at in places:
            table.cells[at] = [_broken(cell, room) for cell in whole[at]]
        return table.width() <= width

    least, most = _LEAST, widest - 1
    if table.width() <= width or most < least:
        return
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if fits(middle) else (least, middle - 1)
    fits(least)


def _broken(cell: str, width: int) -> str:
    """Return `cell` in lines of at most `width` columns; a longer word is cut."""
    lines = (textwrap.wrap(line, width, break_on_hyphens=False) for line in cell.split("\n"))
    return "\n".join("\n".join(part) for part in lines)


def _broken_heading(text: str) -> str:
    """Return `text` (words, or a function's name) in lines, broken after a space or a `_`."""
    lines = [""]
    for part in re.findall("[^_ ]*[_ ]|[^_ ]+$", text):
        if lines[-1] and len(f"{lines[-1]}{part}".rstrip()) > _HEADING:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)
