# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the hits of an event file as CSV, a row for each hit."""

from __future__ import annotations

from typing import Any, Callable

from gdbfpu.fpu.evidence import Answer
from gdbfpu.report.event_hits import EventHit
from gdbfpu.report.event_values import U64, hexadecimal, number
from gdbfpu.text.csv_lines import csv_line
from gdbfpu.xsave import features

__all__ = ("HitsCsv",)

_COLUMNS = (
    "seq", "time_ns", "function", "thread", "pid", "tgid", "comm", "cpu", "task", "fpu",
    "components", "live", "uses_fpu", "why", "backtrace",
)  # fmt: skip


class HitsCsv:
    """Writes CSV with `put`, which takes lines without their end."""

    def __init__(self, put: Callable[[str], object]) -> None:
        self._put = put
        put(csv_line(_COLUMNS))

    def add(self, event: dict[str, Any], hit: EventHit) -> None:
        """Write the row of `hit`, read from `event`; raise CorruptState or KeyError."""
        task, (function, *callers), facts = hit
        use = facts.use
        answer = use.answer if use else Answer.UNKNOWN
        self._put(csv_line((
            number("seq", event["seq"], U64), facts.time_ns, function, facts.thread, task.pid,
            task.tgid, task.comm, facts.cpu, f"{task.address:#x}",
            f"{hexadecimal('fpu', event['fpu']):#x}",
            features.describe(facts.mask) if facts.mask else "", "yes" if facts.live else "no",
            answer.value if answer is not Answer.UNKNOWN else "", use.why if use else "",
            " < ".join(callers),
        )))  # fmt: skip

    def end(self) -> None:
        """Write what is left: nothing."""
