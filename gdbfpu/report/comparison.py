# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare two reports: who came, who went, whose hits, components and findings changed.

Tasks are compared by name: after a reboot, or a restart of a program, the pids are others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gdbfpu.fpu.evidence import Answer
from gdbfpu.report.report import Report
from gdbfpu.text.counted import counted
from gdbfpu.text.fit import Fit
from gdbfpu.text.screen import PLAIN, Screen
from gdbfpu.text.table import table
from gdbfpu.xsave import features

__all__ = ("comparison_json", "comparison_table")

_COLUMNS = ("task", "change", "FPU", "hits", "components", "findings")
_ANSWERS = (Answer.YES, Answer.UNKNOWN, Answer.NO)  # the first that any task of a name has counts


@dataclass
class _Sum:
    """All tasks of one name. `answers` has their answers, `components` is a mask."""

    answers: set[Answer] = field(default_factory=set)
    hits: int = 0
    components: int = 0
    findings: Counter[str] = field(default_factory=Counter)

    @property
    def answer(self) -> Answer:
        return next(answer for answer in _ANSWERS if answer in self.answers)

    def to_json(self) -> dict[str, Any]:
        return {
            "uses_fpu": self.answer.to_json(),
            "hits": self.hits,
            "components": list(features.names(self.components)),
            "findings": dict(self.findings),
        }


def comparison_table(before: Report, after: Report, screen: Screen = PLAIN) -> str:
    """Return what differs, a row for each name, and a summary."""
    changes = list(_changes(before, after))
    rows = [_row(name, one, other) for name, one, other in changes]
    align = ("left", "left", "left", "right", "left", "left")
    body = table(rows, _COLUMNS, align, screen, Fit(wrap=("components", "findings")))
    same = len({row.comm for report in (before, after) for row in report.rows}) - len(changes)
    lines = [
        f"{counted(len(changes), 'name')} changed, {same} did not; "
        f"{counted(before.hits, 'hit')} before, {after.hits} after"
    ]
    for word, report in (("before", before), ("after", after)):
        lines.append(f"{word}: {report.source}, {report.switching} switching, {report.kernel}")
        lines += [f"incomplete: {report.source}: {defect}" for defect in report.defects]
    return f"{body}\n\n{screen.wrapped(chr(10).join(lines), '  ')}"


def comparison_json(before: Report, after: Report) -> dict[str, Any]:
    """Return what differs as an object for `json.dumps`; docs/data.md describes its keys."""
    tasks = [
        {
            "comm": name,
            "before": one.to_json() if one else None,
            "after": other.to_json() if other else None,
        }
        for name, one, other in _changes(before, after)
    ]
    reports = {"before": before, "after": after}
    return {
        "tasks": tasks,
        "totals": {word: {"hits": report.hits} for word, report in reports.items()},
        "defects": {word: list(report.defects) for word, report in reports.items()},
    }


def _changes(before: Report, after: Report) -> Iterator[tuple[str, _Sum | None, _Sum | None]]:
    """Yield each name whose sums differ, the largest change of hits first."""
    left, right = _sums(before), _sums(after)

    def change(name: str) -> int:
        return -abs((right.get(name) or _Sum()).hits - (left.get(name) or _Sum()).hits)

    for name in sorted({**left, **right}, key=change):
        one, other = left.get(name), right.get(name)
        if one is None or other is None or one.to_json() != other.to_json():
            yield name, one, other


def _sums(report: Report) -> dict[str, _Sum]:
    sums: dict[str, _Sum] = {}
    for row in report.rows:
        one = sums.setdefault(row.comm, _Sum())
        one.answers.add(row.use.answer)
        one.hits += row.count
        one.components |= row.components
        one.findings += row.findings
    return sums


def _row(name: str, one: _Sum | None, other: _Sum | None) -> tuple[str, ...]:
    if one is None or other is None:
        only = one or other or _Sum()
        change = "came" if one is None else "went"
        return name, change, only.answer.value, str(only.hits), _components(only), _found(only)
    return (
        name,
        f"{other.hits - one.hits:+d} hits" if other.hits != one.hits else "",
        _both(one.answer.value, other.answer.value),
        _both(str(one.hits), str(other.hits)),
        _both(_components(one), _components(other)),
        _both(_found(one), _found(other)),
    )


def _both(one: str, other: str) -> str:
    return one if one == other else f"{one} -> {other}"


def _components(one: _Sum) -> str:
    return features.describe(one.components)


def _found(one: _Sum) -> str:
    return ", ".join(f"{rule} {count}" for rule, count in sorted(one.findings.items())) or "-"
