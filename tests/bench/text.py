# SPDX-License-Identifier: GPL-2.0-or-later
"""The measured rows as text: a table for the terminal, and the block that docs/performance.md has.

Both are made from what the JSON file holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tabulate import tabulate

from tests.bench.rows import Row

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"

_HEADERS = ("what", "gdbfpu", "best rival", "ratio", "to reach", "met", "runs")
_ALIGN = ("left", "right", "left", "right", "left", "left", "right")


def figure(value: float | None, unit: str = "") -> str:
    """Return `value` with three digits that count, and its unit."""
    if value is None:
        return "-"
    shown = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
    return f"{shown} {unit}".rstrip()


def table(rows: Iterable[Row], form: str = "simple") -> str:
    """Return the rows as a table in tabulate's format `form`."""
    lines = [_line(row) for row in rows]
    return tabulate(lines, _HEADERS, tablefmt=form, disable_numparse=True, colalign=_ALIGN)


def report(rows: Sequence[Row], machine: Mapping[str, str]) -> str:
    """Return what the terminal shows: the table, what was run for each row, and the machine."""
    facts = [f"{name + ':':10}{value}" for name, value in machine.items()]
    return "\n".join([table(rows), "", *_runs(rows), "", *facts])


def markdown(rows: Sequence[Row], data: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """Return the block between the markers; `pictures` are what a picture shows, by its file."""
    facts = "; ".join(f"{name}: {value}" for name, value in data["machine"].items())
    lines = [f"Measured on {data['measured']} on this machine: {facts}.", "", table(rows, "github")]
    lines += ["", "What was run, and what every contender took:", "", *_runs(rows)]
    for name, shown in pictures.items():
        lines += ["", f"![{shown}]({name})"]
    return "\n".join(lines)


def quoted(page: str, block: str) -> str:
    """Return `page` with `block` in place of what stood between the markers."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN} and {END}")
    return f"{head}{BEGIN}\n\n{block}\n\n{END}{tail}"


def _line(row: Row) -> tuple[str, ...]:
    best = row.best
    rival = "-" if best is None else f"{figure(row.rivals[best], row.unit)} ({best})"
    times = "-" if row.times is None else figure(row.times, "x")
    reach = f"at least {row.reach:g} x" if isinstance(row.reach, (int, float)) else row.reach
    met = {True: "yes", False: "no", None: "-"}[row.reached]
    return (row.what, figure(row.ours, row.unit), rival, times, reach or "-", met, str(row.runs))


def _runs(rows: Iterable[Row]) -> list[str]:
    """Return as a list what was run, and what each rival took."""
    by_command: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_command.setdefault((row.command, row.note), []).append(row)
    lines = []
    for (command, note), group in by_command.items():
        lines.append(f"- `{command}`" + (f"; {note}" if note else ""))
        for row in group:
            values = {"gdbfpu": row.ours, **row.rivals}
            told = ", ".join(f"{name} {figure(v, row.unit)}" for name, v in values.items())
            lines.append(f"  - {row.what}: {told}")
    return lines
