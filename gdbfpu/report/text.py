# SPDX-License-Identifier: GPL-2.0-or-later
"""Format reports as tables and CSV. Nothing here prints."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from gdbfpu.fpu.evidence import Answer
from gdbfpu.report.headline import headline
from gdbfpu.report.report import Report
from gdbfpu.text.counted import counted
from gdbfpu.text.csv_lines import csv_line
from gdbfpu.text.fit import Fit
from gdbfpu.text.screen import Screen
from gdbfpu.text.short import cut
from gdbfpu.text.table import paint, table
from gdbfpu.trace.task_totals import TaskTotals
from gdbfpu.xsave import features

__all__ = ("remarks", "report_csv", "report_table")


_TASK_COLUMNS = ("thread", "pid", "tgid", "task", "FPU")
_HIT_COLUMNS = ("CPU", "components", "live", "memory", "first", "last")
_NAME = 16  # columns of a task's name, unless it has bytes that are escaped
_FIT = Fit(
    drop=("first", "tgid", "last", "CPU", "memory", "thread", "live", "components"),
    wrap=("why",),
    short={
        "task": lambda name: cut(name, _NAME),
        "first": lambda clock: clock[:8],  # without the milliseconds
        "last": lambda clock: clock[:8],
    },
)
_CSV_TASK = ("thread", "pid", "tgid", "comm", "uses_fpu")
_CSV_HITS = (
    "cpu",
    "components",
    "live_hits",
    "memory_hits",
    "first_ns",
    "last_ns",
    "findings",
    "why",
)


def report_table(report: Report, by: str, order: str, screen: Screen, why: bool = False) -> str:
    """Return `report` as tables for people: `by` is `task`, `probe` or `path`.

    The headline comes first. `why` adds a column with the reason for each task's answer.
    """
    rows = report.sorted(order) if order else report.rows
    if by == "task":
        body = _tasks(report, rows, screen, why)
    else:
        headers, lines = _grouped(report, by)
        align = ("right",) * (len(headers) - 1) + ("left",)
        body = table(lines, headers, align, screen, Fit(wrap=("path",)))
    parts = [screen.wrapped(headline(report, screen.colour), "  "), body]
    if more := remarks(report, screen.colour):
        parts.append(screen.wrapped("\n".join(more), "  "))
    return "\n\n".join(parts)


def report_csv(report: Report, by: str, order: str) -> str:
    """Return `report` as CSV with a heading and one row for each task, function or path."""
    if by == "task":
        functions = report.functions()
        headers: Sequence[str] = (*_CSV_TASK, *functions, *_CSV_HITS)
        tasks = report.sorted(order) if order else report.rows
        rows = [_csv_task(row, functions) for row in tasks]
    else:
        headers, rows = _grouped(report, by)
    return "".join(f"{csv_line(row)}\n" for row in (headers, *rows))


def _csv_task(row: TaskTotals, functions: tuple[str, ...]) -> list[Any]:
    answer, why = row.use
    uses = answer.value if answer is not Answer.UNKNOWN else ""
    components = features.describe(row.components) if row.components else ""
    return [row.thread, row.pid, row.tgid, row.comm, uses,
            *(row.hits[name] for name in functions), row.cpu if row.cpu >= 0 else "",
            components, row.live_hits, row.memory_hits,
            row.first_ns or "", row.last_ns or "", sum(row.findings.values()), why]  # fmt: skip


def _tasks(report: Report, rows: Sequence[TaskTotals], screen: Screen, why: bool) -> str:
    functions = report.functions()
    headers = [*_TASK_COLUMNS, *(functions or ("hits",)), *_HIT_COLUMNS]
    align = ["right", "right", "right", "left", "left"]
    align += ["right"] * (len(functions) or 1) + ["right", "left", "right", "right", "left", "left"]
    lines = [_task_line(row, functions, screen.colour) for row in rows]
    if report.audits:
        headers.append("findings")
        align.append("left")
        lines = [[*line, _findings(row, screen.colour)] for line, row in zip(lines, rows)]
    if why:
        headers.append("why")
        align.append("left")
        lines = [[*line, row.use.why or "-"] for line, row in zip(lines, rows)]
    return table(lines, headers, align, screen, _FIT)


def _task_line(row: TaskTotals, functions: tuple[str, ...], colour: bool) -> list[str]:
    answer = row.use.answer
    uses = paint(answer.value, "green", colour and answer is Answer.YES)
    counts = [str(row.hits[name] or "-") for name in functions] or ["-"]
    hit = bool(row.hits)
    return [
        "-" if row.thread is None else str(row.thread),
        str(row.pid),
        str(row.tgid),
        row.comm,
        uses,
        *counts,
        str(row.cpu) if hit else "-",
        features.describe(row.components),
        str(row.live_hits) if hit else "-",
        str(row.memory_hits) if hit else "-",
        _clock(row.first_ns),
        _clock(row.last_ns),
    ]


def _findings(row: TaskTotals, colour: bool) -> str:
    found = ", ".join(f"{rule} {count}" for rule, count in sorted(row.findings.items()))
    return paint(found, "red", colour) if found else "-"


def _clock(time_ns: int) -> str:
    if not time_ns:
        return "-"
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return time.strftime("%H:%M:%S", time.localtime(seconds)) + f".{rest // 1_000_000:03d}"


def _grouped(report: Report, by: str) -> tuple[tuple[str, ...], list[list[Any]]]:
    if by == "path":
        paths = [[count, " < ".join(path)] for path, count in report.paths]
        return ("hits", "path"), paths
    counts: Counter[str] = Counter()
    tasks: defaultdict[str, int] = defaultdict(int)
    for row in report.rows:
        counts.update(row.hits)
        for name in row.hits:
            tasks[name] += 1
    return ("hits", "tasks", "function"), [[n, tasks[f], f] for f, n in counts.most_common()]


def remarks(report: Report, colour: bool = False) -> list[str]:
    """Return a line for each thing to know beside the headline and the rows."""
    lines = []
    for row in report.rows:
        if row.cleaned:
            clean = _each(row.cleaned, "byte")
            lines.append(f"made clean for {row.comm} (pid {row.pid}): {clean}")
    if report.undecided:
        lines.append(f"memory alone could not tell: {_each(report.undecided, 'time')}")
    return lines + [paint(f"incomplete: {defect}", "red", colour) for defect in report.defects]


def _each(counts: Mapping[str, int], thing: str) -> str:
    return ", ".join(f"{name} {counted(count, thing)}" for name, count in counts.items())
