# SPDX-License-Identifier: GPL-2.0-or-later
"""Say in a sentence what a report shows: what a person wants to know first."""

from __future__ import annotations

from collections.abc import Iterator

from gdbfpu.fpu.evidence import Answer
from gdbfpu.report.report import Report
from gdbfpu.text.counted import counted
from gdbfpu.text.table import paint
from gdbfpu.trace.task_totals import TaskTotals
from gdbfpu.xsave import features
from gdbfpu.xsave.features import APX, AVX, HI16_ZMM, OPMASK, SSE, TILEDATA, X87, ZMM_HI256

__all__ = ("headline",)

_REGISTERS = (TILEDATA, APX, HI16_ZMM, ZMM_HI256, OPMASK, AVX, SSE, X87)
"""The components that hold a program's data, the most telling first."""


def headline(report: Report, colour: bool = False) -> str:
    """Return the sentence, without its full stop.

    It says which task was hit most, how many tasks use the FPU, how many hits there were in which
    time, how the kernel switches, and what the audits found.
    """
    return "; ".join(_parts(report, colour))


def _parts(report: Report, colour: bool) -> Iterator[str]:
    if report.hits:
        yield _share(max(report.rows, key=lambda row: row.count), report.hits)
    yield _using(report, colour)
    yield _rate(report)
    yield f"{report.switching} switching"
    if report.audits:
        found = sum(sum(row.findings.values()) for row in report.rows)
        number = counted(found, "finding") if found else "no findings"
        yield f"{number} in {counted(report.audits, 'audit')}"


def _share(row: TaskTotals, hits: int) -> str:
    """Return how many of all `hits` were of the task of `row`, and what it used.

    The header's bits alone say nothing of a task that does not use the FPU: an XSAVE that does not
    track initial states sets them all. Nor are the hits with a component counted: where the CPU has
    the registers, the header may be older.
    """
    text = f"{row.comm} took {row.count} of {counted(hits, 'hit')}"
    for number in _REGISTERS if row.use.answer is Answer.YES else ():
        if row.components >> number & 1:
            return f"{text}, with {features.component_name(number)} in use"
    return text


def _using(report: Report, colour: bool) -> str:
    """Return how many of which tasks use the FPU."""
    if report.source:
        found = paint(f"{counted(report.tasks, 'task')} in {report.source}", "bold", colour)
        return f"{found}, {report.using} of them known to use the FPU"
    uses = "uses" if 1 in (report.using, report.tasks) else "use"
    found = f"{report.using} of {counted(report.tasks, 'task')} {uses} the FPU"
    are = "is a kernel thread" if report.kthreads == 1 else "are kernel threads"
    return f"{paint(found, 'bold', colour)} ({report.kthreads} {are}, without FPU state)"


def _rate(report: Report) -> str:
    """Return how many hits there were, in which time and at which rate."""
    text, seconds = counted(report.hits, "hit"), report.seconds
    if seconds <= 0:
        return text
    return f"{text} in {_three(seconds)} s, {_three(report.hits / seconds)}/s"


def _three(number: float) -> str:
    """Return a positive `number` with three digits, or in full if it has more before the point."""
    digits = next((n for n, least in enumerate((100, 10, 1)) if number >= least), 3)
    return f"{number:.{digits}f}"
