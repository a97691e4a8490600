# SPDX-License-Identifier: GPL-2.0-or-later
"""The totals of one task in a trace."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from gdbfpu.fpu.evidence import Use

__all__ = ("MAX_MASKS", "TaskTotals")

MAX_MASKS = 64
"""How many values of XSTATE_BV are counted separately for a task; hits with others are not."""

_UNKNOWN = Use()


@dataclass
class TaskTotals:
    """The sum of all hits of one task. Times are CLOCK_REALTIME in ns, 0 before the first hit.

    `thread` is GDB's number of the task's thread, `cpu` the CPU of the last hit (-1: never hit),
    `components` a mask, `masks` counts the hits by XSTATE_BV, `use` whether the task uses the FPU.
    `findings` counts what audits found, by rule; `cleaned` counts the bytes that the sanitizer
    cleaned, by component.
    """

    pid: int
    tgid: int
    comm: str
    task: int
    thread: int | None = None
    cpu: int = -1
    hits: Counter[str] = field(default_factory=Counter)
    components: int = 0
    live_hits: int = 0
    memory_hits: int = 0
    first_ns: int = 0
    last_ns: int = 0
    use: Use = _UNKNOWN
    findings: Counter[str] = field(default_factory=Counter)
    cleaned: Counter[str] = field(default_factory=Counter)
    masks: Counter[int] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """Return the number of hits on all functions."""
        return self.live_hits + self.memory_hits

    def with_component(self, number: int) -> int:
        """Return the number of hits at which XSTATE_BV had the bit `number`."""
        return sum(count for mask, count in self.masks.items() if mask >> number & 1)

    def plus(self, other: TaskTotals) -> TaskTotals:
        """Return these totals with those of `other` added, still under this task's name."""
        firsts = [time for time in (self.first_ns, other.first_ns) if time]
        return replace(
            self,
            hits=self.hits + other.hits,
            components=self.components | other.components,
            live_hits=self.live_hits + other.live_hits,
            memory_hits=self.memory_hits + other.memory_hits,
            first_ns=min(firsts, default=0),
            last_ns=max(self.last_ns, other.last_ns),
            findings=self.findings + other.findings,
            cleaned=self.cleaned + other.cleaned,
            masks=Counter(dict((self.masks + other.masks).most_common(MAX_MASKS))),
        )
