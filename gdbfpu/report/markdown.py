# SPDX-License-Identifier: GPL-2.0-or-later
"""Write a report as Markdown, to paste into a mail or an issue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gdbfpu.report.headline import headline
from gdbfpu.report.report import Report
from gdbfpu.report.text import remarks
from gdbfpu.trace.task_totals import TaskTotals
from gdbfpu.xsave import features

__all__ = ("report_markdown",)

_SPECIAL = "\\`*_{}[]<>#|~"


def report_markdown(report: Report) -> str:
    """Return `report` as a paragraph, a table of its tasks and a list of its defects."""
    rest = remarks(report)
    functions = report.functions()
    headings = ("task", "pid", "FPU", *functions, "components", "live", "memory", "why")
    rows = [_cells(row, functions) for row in report.rows]
    lines = [f"{_plain(headline(report))}.", "", f"Kernel: {_plain(report.kernel)}", ""]
    lines += [_row(map(_plain, headings)), _row(["---"] * len(headings))]
    lines += [_row(map(_plain, row)) for row in rows]
    if rest:
        lines += ["", *(f"- {_plain(line)}" for line in rest)]
    return "\n".join(lines)


def _cells(row: TaskTotals, functions: Sequence[str]) -> list[str]:
    counts = [str(row.hits[name]) for name in functions]
    in_use = features.describe(row.components)
    answer, why = row.use
    return [row.comm, str(row.pid), answer.value, *counts, in_use, str(row.live_hits),
            str(row.memory_hits), why]  # fmt: skip


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Return `text` with the characters escaped that Markdown would take for its own."""
    return "".join(f"\\{c}" if c in _SPECIAL else c for c in text)
