# SPDX-License-Identifier: GPL-2.0-or-later
"""The live table of a trace, for a screen of any size."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable

from gdbfpu.text.counted import counted
from gdbfpu.text.fit import columns_of
from gdbfpu.text.printable import one_line
from gdbfpu.text.screen import Screen
from gdbfpu.text.short import cut, few
from gdbfpu.text.table import padded, paint
from gdbfpu.trace.rates import Busy, Sample
from gdbfpu.xsave import features

__all__ = ("Missed", "live_lines")

_ABOVE = 2  # lines above the rows: what there is in sum, and the heading
_GAP = 1  # columns between two columns of the table


@dataclass(frozen=True)
class Missed:
    """How many hits of a session the filters left out, and how many could not be recorded."""

    filtered: int = 0
    failed: int = 0


@dataclass(frozen=True)
class _Column:
    """A column of the table.

    It takes `least` columns of the terminal, up to `good` if they are there and up to `most` on a
    wide one. `optional` columns come in only when all others have their `most`. `cell` makes the
    text of a row for a width. Numbers stand at the right.
    """

    name: str
    least: int
    good: int
    most: int
    cell: Callable[[Busy, int], str]
    number: bool = False
    optional: bool = False


def _per_second(rate: float | None) -> str:
    return "-" if rate is None else f"{max(rate, 0.0):.1f}"


def _caller(one: Busy, width: int) -> str:
    return cut(one_line(one.last.backtrace[0]), width) if one.last.backtrace else "-"


def _components(one: Busy, width: int) -> str:
    if one.last.xfeatures is None:
        return "?"
    return cut(few(features.describe(one.mask), width), width)


_COLUMNS = (  # in the order of the table
    _Column("hits/s", 7, 7, 7, lambda one, _: _per_second(one.rate), number=True),
    _Column("hits", 9, 9, 9, lambda one, _: str(one.hits), number=True, optional=True),
    _Column("task", 8, 11, 16, lambda one, width: cut(one.last.comm, width)),
    _Column("pid", 7, 7, 7, lambda one, _: str(one.last.pid), number=True),
    _Column("CPU", 3, 3, 3, lambda one, _: str(one.last.cpu), number=True, optional=True),
    _Column("function", 12, 19, 27, lambda one, width: cut(one.last.function, width)),
    _Column("components", 10, 11, 24, _components),
    _Column("live", 4, 4, 4, lambda one, _: f"{100 * one.live // one.hits}%", number=True),
    _Column("caller", 8, 15, 32, _caller),
)
_FIRST_OUT = ("caller", "components", "pid", "live", "function", "task")
"""The columns to leave out of a narrow table, the least important one first."""


def live_lines(sample: Sample, missed: Missed, screen: Screen, height: int) -> tuple[str, ...]:
    """Return the live table of `sample`: at most `height` lines, none wider than `screen`.

    If there are more rows than lines, the last line says what is left out.
    """
    columns = _fitting(screen.width)
    rows, rest = _chosen(sample, max(height - _ABOVE, 0))
    lines = [
        _sum(sample, missed),
        _line(columns, [column.name for column, _ in columns]),
        *(_line(columns, [column.cell(one, width) for column, width in columns]) for one in rows),
        *rest,
    ][: max(height, 0)]
    whole = [cut(line, screen.width) if screen.width else line for line in lines]
    return (*(paint(line, "bold", screen.colour) for line in whole[:_ABOVE]), *whole[_ABOVE:])


def _sum(sample: Sample, missed: Missed) -> str:
    """Return what there is in sum, the most important first: a narrow screen cuts the end."""
    clock = time.strftime("%H:%M:%S", time.localtime(sample.time_ns / 1e9))
    parts = [
        f"{_per_second(sample.rate)} hits/s over {sample.seconds:.1f} s",
        *([f"until {clock}"] if sample.time_ns else []),
        counted(sample.hits, "hit"),
        f"{counted(sample.tasks, 'task')}",
        *([f"{missed.failed} not recorded"] if missed.failed else []),
        *([f"{missed.filtered} filtered out"] if missed.filtered else []),
    ]
    return "; ".join(parts)


def _chosen(sample: Sample, room: int) -> tuple[tuple[Busy, ...], tuple[str, ...]]:
    """Return the rows that fit in `room` lines, and a line on the other rows, if any."""
    rows = sample.rows[:room]
    if len(rows) == sample.pairs or room < 2:
        return rows, ()
    rows = rows[: room - 1]
    rate = None if sample.rate is None else sample.rate - sum(one.rate or 0.0 for one in rows)
    return rows, (f"{_per_second(rate):>7} {counted(sample.pairs - len(rows), 'more row')}",)


def _fitting(width: int) -> list[tuple[_Column, int]]:
    """Return the columns for a table of `width` columns of the terminal (0: any), each's own."""
    if not width:
        return [(column, column.most) for column in _COLUMNS]
    shown = [column for column in _COLUMNS if not column.optional]
    for more in _COLUMNS:
        wider = [column for column in _COLUMNS if column in shown or column is more]
        if _taken([column.most for column in wider]) <= width:
            shown = wider
    for name in _FIRST_OUT:
        if _taken([column.least for column in shown]) > width:
            shown = [column for column in shown if column.name != name]
    widths = [column.least for column in shown]
    for limits in ([column.good for column in shown], [column.most for column in shown]):
        for at, limit in enumerate(limits):
            widths[at] += max(min(limit - widths[at], width - _taken(widths)), 0)
    return list(zip(shown, widths))


def _taken(widths: list[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _line(columns: list[tuple[_Column, int]], cells: list[str]) -> str:
    """Return a line of the table; the last column is not filled."""
    parts = [
        " " * (width - columns_of(cell)) + cell if column.number else padded(cell, width)
        for (column, width), cell in zip(columns, cells)
    ]
    return (" " * _GAP).join(parts).rstrip()
