# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the report of event files. Read each once, as a stream, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from gdbfpu.audit.rules import RULES
from gdbfpu.errors import CorruptState
from gdbfpu.fpu.evidence import Answer
from gdbfpu.report.event_filter import HitFilter
from gdbfpu.report.event_hits import EventHit, HitReader, use_of
from gdbfpu.report.event_lines import EventLines, Header
from gdbfpu.report.event_values import S32, U64, hexadecimal, listed, number
from gdbfpu.report.report import Report, by_use, seconds_of
from gdbfpu.trace.task_totals import TaskTotals
from gdbfpu.trace.totals import MAX_ROWS, AuditFacts, Totals
from gdbfpu.xsave.features import names

__all__ = ("Listener", "report_of_files")

_OTHER_RULES = "(other rules)"
_RULES = {rule.name for rule in RULES}
_COMPONENTS = set(names((1 << 64) - 1))


class Listener(Protocol):
    """Is told each line that counts before it does; may refuse it (CorruptState, KeyError)."""

    def hit(self, event: dict[str, Any], hit: EventHit) -> None:
        """Take a hit, read from `event`."""

    def audit(self, event: dict[str, Any]) -> None:
        """Take the audit of a call."""


def report_of_files(
    files: Sequence[EventLines],
    chosen: HitFilter | None = None,
    listener: Listener | None = None,
) -> Report:
    """Return the report of event files: the tasks that were hit.

    Files of the same kernel add up by task, others stay apart. `chosen` says which hits count
    (None: all). Defects of lines are listed in the report. Raises UsageError if a file cannot be
    read.
    """
    readings: dict[Header, _Reading] = {}
    defects: list[str] = []
    for lines in sorted(files, key=_started):
        if chosen is not None:
            chosen.restart()
        header = replace(lines.header, started="")
        lines.each(readings.setdefault(header, _Reading(chosen, listener)).take)
        place = f"{_name(lines)}: " if len(files) > 1 else ""
        defects += (f"{place}{defect}" for defect in lines.defects())
    report = replace(_added_up(readings), defects=tuple(defects), source=f"{len(files)} files")
    if len(files) > 1:
        return report
    return replace(report, source=_name(files[0]), seconds=seconds_of(report.rows))


def _added_up(readings: Mapping[Header, _Reading]) -> Report:
    """Return the report of what was read of each kernel."""
    each = [reading.totals for reading in readings.values()]
    rows = by_use(row for totals in each for row in (*totals.tasks.values(), *totals.rest()))
    paths, undecided = Counter[tuple[str, ...]](), Counter[str]()
    for totals in each:
        paths.update(totals.paths)
        undecided.update(totals.undecided)
    return Report(
        kernel="; ".join(dict.fromkeys(header.kernel for header in readings)),
        switching=" and ".join(dict.fromkeys(header.switching for header in readings)),
        rows=rows,
        tasks=sum(len(totals.tasks) + totals.folded for totals in each),
        kthreads=0,
        using=sum(row.use.answer is Answer.YES for row in rows),
        hits=sum(paths.values()),
        paths=tuple(paths.most_common()),
        defects=(),
        audits=sum(totals.audited for totals in each),
        undecided=dict(undecided),
    )


def _name(lines: EventLines) -> str:
    return Path(lines.name).name


def _started(lines: EventLines) -> float:
    """Return when a trace began, so that files are read in the order of their hits; 0: unknown."""
    with suppress(ValueError, OverflowError):
        return datetime.strptime(lines.header.started, "%Y-%m-%dT%H:%M:%S%z").timestamp()
    return 0.0


class _Reading:
    """What has been read from an event file so far."""

    def __init__(self, chosen: HitFilter | None, listener: Listener | None) -> None:
        self.totals = Totals()
        self._chosen, self._listener = chosen, listener
        self._read = HitReader().read
        self._latest: dict[int, TaskTotals] = {}  # the last task seen with each pid

    def take(self, event: dict[str, Any]) -> None:
        """Add all of a line, or nothing: raise CorruptState, KeyError or TypeError."""
        if "use_of" in event:
            self._learned(event)
            return
        if "of" in event:
            self._audited(event)
            return
        task, path, facts = hit = self._read(event)
        if self._chosen is not None and not self._chosen.wants(hit):
            self._latest.pop(task.pid, None)  # so that the audit of this call counts no more
            return
        if self._listener is not None:
            self._listener.hit(event, hit)
        latest = self._latest
        if len(latest) >= MAX_ROWS:  # drop all: an audit's line comes soon after its hit's
            latest.clear()
        latest[task.pid] = self.totals.add(task, path, facts)

    def _learned(self, event: dict[str, Any]) -> None:
        """Note what a signal frame showed about its task."""
        number("use_of", event["use_of"], U64)
        key = hexadecimal("task", event["task"]), number("pid", event["pid"], S32)
        use, row = use_of(event), self.totals.tasks.get(key)
        if row is None:
            if self._chosen is not None:
                return
            raise CorruptState("a signal frame of a task that was never hit")
        if use is not None and row.use.answer is not Answer.YES:
            row.use = use

    def _audited(self, event: dict[str, Any]) -> None:
        """Add all that the audit of a call says to the totals of its task, or nothing."""
        pid = number("pid", event["pid"], S32)
        rules = _rules(finding["rule"] for finding in listed("findings", event["findings"]))
        undecided = _rules(listed("undecided", event["undecided"]))
        cleaned = event["cleaned"]
        if type(cleaned) is not dict or not cleaned.keys() <= _COMPONENTS:
            raise CorruptState("`cleaned` does not map components to bytes")
        for count in cleaned.values():
            number("cleaned", count, S32)
        if pid not in self._latest:
            if self._chosen is not None:
                return
            raise CorruptState("an audit of a task that was never hit")
        if self._listener is not None:
            self._listener.audit(event)
        self.totals.add_audit(self._latest[pid], AuditFacts(rules, undecided, cleaned))


def _rules(texts: Iterable[Any]) -> tuple[str, ...]:
    """Return the rules' names from `texts`, each of them `RULE` or `RULE: why`."""
    return tuple(map(_rule, texts))


def _rule(text: Any) -> str:
    if type(text) is not str:
        raise CorruptState("the name of a rule is not a string")
    name = text.partition(":")[0]
    return name if name in _RULES else _OTHER_RULES
