# SPDX-License-Identifier: GPL-2.0-or-later
"""How many hits a second each task has on each function, while a trace runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import nlargest
from typing import NamedTuple

from gdbfpu.trace.event_file import Hit

__all__ = ("MAX_ROWS", "WINDOW", "Busy", "Rates", "Sample")

MAX_ROWS = 10_000
"""How many pairs of task and function are counted; beyond that, those hit longest ago go."""

WINDOW = 2.0
"""The length in seconds that a rate is measured over, if hits are that frequent."""

_DROPPED = 4  # when full, drop a quarter of the rows at once, since finding them sorts them all

_Key = tuple[str, int, str]  # a task's address and pid, and the function


class _Mark(NamedTuple):
    """What had been counted by a moment."""

    seconds: float
    hits: int
    counts: Mapping[_Key, int]


class Busy(NamedTuple):
    """The hits of one task on one function.

    `rate` is how many there are a second, None if that is not measured yet. `hits` counts all,
    `live` those at which the CPU held the registers. `mask` are the components (u64) that the
    task's header ever had, `last` is the last hit.
    """

    rate: float | None
    hits: int
    live: int
    mask: int
    last: Hit


@dataclass
class _Row:
    """The hits of one task on one function; the fields are those of Busy."""

    last: Hit
    hits: int = 0
    live: int = 0
    mask: int = 0

    def busy(self, rate: float | None) -> Busy:
        """Return what there is to show, with `rate` in hits a second."""
        return Busy(rate, self.hits, self.live, self.mask, self.last)


class Sample(NamedTuple):
    """The rates at one moment.

    `hits` counts all hits of the trace, `rate` is theirs a second over the last `seconds`, None if
    that is not measured yet. `tasks` and `pairs` count the tasks, and the pairs of task and
    function. `rows` are the busiest pairs, busiest first. `time_ns` is CLOCK_REALTIME of the last
    hit, 0 for none.
    """

    hits: int
    rate: float | None
    seconds: float
    tasks: int
    pairs: int
    rows: tuple[Busy, ...]
    time_ns: int


class Rates:
    """Counts hits by task and function. `now` is a monotonic clock in seconds everywhere.

    Rates count the time in which the kernel runs: `start` says when it begins to run.
    """

    def __init__(self) -> None:
        self._rows: dict[_Key, _Row] = {}
        self._marks: deque[_Mark] = deque()
        self._hits = 0
        self._seq = 0  # of the hit that was added last
        self._time_ns = 0

    def start(self, now: float) -> None:
        """Measure from `now` on. A second call changes nothing that matters."""
        self._marks = deque([self._mark(now)])

    def add(self, hit: Hit) -> None:
        """Count `hit`. A second call adds nothing; a ^C never adds half of it."""
        if hit.seq == self._seq:
            return
        key = (hit.task, hit.pid, hit.function)
        row = self._rows.get(key) or self._new(key, hit)
        live = row.live + hit.live
        same = hit.xfeatures == row.last.xfeatures and row.hits
        mask = row.mask if same else row.mask | int(hit.xfeatures or "0", 16)
        # No call from here on: Python handles a ^C only at calls.
        self._seq = hit.seq
        self._time_ns = hit.time_ns
        self._hits += 1
        row.hits += 1
        row.live, row.mask, row.last = live, mask, hit

    def sample(self, now: float, most: int) -> Sample:
        """Return the rates at `now` with at most `most` rows, and measure later ones from here."""
        then = self._since(now)
        seconds = now - then.seconds

        def gained(key: _Key) -> int:
            return max(self._rows[key].hits - then.counts.get(key, 0), 0)

        def busyness(key: _Key) -> tuple[int, int, int, str]:
            return gained(key), self._rows[key].hits, -key[1], key[2]

        rows = [
            self._rows[key].busy(_rate(gained(key), seconds))
            for key in nlargest(most, self._rows, key=busyness)
        ]
        rate = _rate(self._hits - then.hits, seconds)
        tasks = len({key[:2] for key in self._rows})
        self._marks.append(self._mark(now))
        return Sample(self._hits, rate, seconds, tasks, len(self._rows), tuple(rows), self._time_ns)

    def _since(self, now: float) -> _Mark:
        """Return the mark to measure from: the last one that is a window old, else the first."""
        while len(self._marks) > 1 and self._marks[1].seconds <= now - WINDOW:
            self._marks.popleft()
        return self._marks[0] if self._marks else self._mark(now)

    def _mark(self, now: float) -> _Mark:
        return _Mark(now, self._hits, {key: row.hits for key, row in self._rows.items()})

    def _new(self, key: _Key, hit: Hit) -> _Row:
        """Return a new row for `key`; if there are too many, forget those hit longest ago."""
        if len(self._rows) >= MAX_ROWS:
            oldest = sorted(self._rows, key=lambda key: self._rows[key].last.seq)
            self._rows = {key: self._rows[key] for key in oldest[MAX_ROWS // _DROPPED :]}
        return self._rows.setdefault(key, _Row(hit))


def _rate(hits: int, seconds: float) -> float | None:
    return hits / seconds if seconds > 0 else None
