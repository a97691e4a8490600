# SPDX-License-Identifier: GPL-2.0-or-later
"""Collect the hits of an event file for a page: in columns, and in bounded memory."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Sequence
from typing import Any, TypeVar

from gdbfpu.report.event_hits import EventHit
from gdbfpu.report.event_images import live_registers
from gdbfpu.report.event_lines import Header
from gdbfpu.report.event_values import S32, listed, number, string
from gdbfpu.report.folded import Stacks
from gdbfpu.report.page.images import PageImages
from gdbfpu.text.printable import one_line
from gdbfpu.xsave import features

__all__ = ("MAX_FINDINGS", "MAX_HITS", "MAX_KINDS", "PageHits")

MAX_HITS = 200_000
"""The most hits that a page has. Of more hits it has every second, every fourth, and so on."""

MAX_KINDS = 20_000
"""How many combinations of task, CPU, path and state are told apart; other hits are left out."""

MAX_FINDINGS = 2_000
"""The most findings that a page lists."""

_EXACT = 1 << 53  # integers below are exact in JavaScript
_MAX_TEXT = 512  # characters of a finding's words
_MAX_COMM = 64
_Key = TypeVar("_Key", bound=Hashable)


class _Numbers(dict[_Key, int]):
    """Gives each new key the next number, from 0."""

    def __missing__(self, key: _Key) -> int:
        self[key] = found = len(self)
        return found


class PageHits:
    """The hits of one event file, whose header is `header`.

    Most hits differ only in number and time from an earlier one; what they share is a kind.

    - `stacks`: how often each call path was seen, by task.
    - `findings`: what the audits found, with the number of the call's hit.
    - `omitted`: how many hits have too rare a kind to be among the others.
    - `stride`: each hit stands for this many.
    - `images`: the registers.
    """

    def __init__(self, header: Header) -> None:
        self.header = header
        self.stacks = Stacks("task")
        self.findings: list[tuple[int, str, str, str, str, str]] = []
        self.found = 0
        self.omitted = 0
        self.stride = 1
        self.images = PageImages(header)
        self._count = 0
        self._columns = [array("Q"), array("Q"), array("L"), array("l")]
        self._kinds = _Numbers[tuple[Any, ...]]()

    def hit(self, event: dict[str, Any], hit: EventHit) -> None:
        """Add `hit`, read from `event`, or nothing: raise CorruptState, KeyError or TypeError."""
        if self._count % self.stride == 0:
            self._keep(event, hit)
        self._count += 1
        self.stacks.add(hit)

    def _keep(self, event: dict[str, Any], hit: EventHit) -> None:
        seq, kind = number("seq", event["seq"], _EXACT), _kind(event, hit)
        raw = event.get("raw")
        image = -1 if raw is None else self.images.add(string("raw", raw), live_registers(event))
        if kind not in self._kinds and len(self._kinds) >= MAX_KINDS:
            self.omitted += 1
            return
        row = (seq, hit[2].time_ns, self._kinds[kind], image)
        for column, value in zip(self._columns, row):
            column.append(value)
        if len(self._columns[0]) >= MAX_HITS:
            self._thin()

    def audit(self, event: dict[str, Any]) -> None:
        """Add what the audit of a call found."""
        seq = number("of", event["of"], _EXACT)
        found = [_finding(seq, one) for one in listed("findings", event["findings"])]
        self.found += len(found)
        self.findings += found[: MAX_FINDINGS - len(self.findings)]

    def _thin(self) -> None:
        """Keep every second hit."""
        self._columns = [column[::2] for column in self._columns]
        self.stride *= 2

    @property
    def first_ns(self) -> int:
        """Return the time of the first hit, CLOCK_REALTIME in ns; 0 without hits."""
        times = self._columns[1]
        return times[0] if times else 0

    def to_json(self) -> dict[str, Any]:
        """Return the columns as lists of numbers; numbers and times as steps from hit to hit."""
        seqs, times, kinds, images = self._columns
        tasks, paths = _Numbers[Any](), _Numbers[Any]()
        table = [[tasks[task], cpu, paths[path], *rest] for task, cpu, path, *rest in self._kinds]
        first = self.first_ns
        return {
            "first_ms": first / 1e6,
            "seq": _steps(seqs),
            "time_us": _steps([(time - first) // 1000 for time in times]),
            "kind": list(kinds),
            "image": list(images) if any(image >= 0 for image in images) else [],
            "kinds": table,
            "tasks": list(tasks),
            "paths": list(paths),
            **self.images.to_json(),
        }


def _kind(event: dict[str, Any], hit: EventHit) -> tuple[Any, ...]:
    """Return what is the same for many hits, in the order of the page's `kinds`."""
    task, path, facts = hit
    caller = number("caller_pid", event["caller_pid"], S32)
    comm = one_line(string("caller_comm", event["caller_comm"]))[:_MAX_COMM]
    use = facts.use
    return (
        (task.comm, task.pid, task.tgid, f"{task.address:#x}"),
        facts.cpu,
        path,
        f"{facts.mask:#x} {features.describe(facts.mask)}",
        int(facts.live),
        "" if caller == task.pid else f"{comm} (pid {caller})",
        f"{use.answer.value}: {use.why}" if use else "",
    )


def _finding(seq: int, one: dict[str, Any]) -> tuple[int, str, str, str, str, str]:
    texts = (
        one_line(string(key, one[key]))[:_MAX_TEXT]
        for key in ("rule", "severity", "component", "read", "why")
    )
    rule, severity, component, read, why = texts
    return seq, rule, severity, component, read, why


def _steps(column: Sequence[int]) -> list[int]:
    """Return the first number, then the difference of each to the one before: shorter in JSON."""
    return [now - before for before, now in zip([0, *column], column)]
