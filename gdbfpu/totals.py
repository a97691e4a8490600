# SPDX-License-Identifier: GPL-2.0-or-later
"""The totals of a trace, per task and per path, in memory that does not grow with hits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from gdbfpu.audit.engine import Audit
from gdbfpu.audit.watch import Returned
from gdbfpu.kernel import Task

__all__ = ("MAX_PATHS", "TaskTotals", "Totals")

MAX_PATHS = 10_000
"""The most different backtraces counted; hits on others are counted together."""


@dataclass
class TaskTotals:
    """What all hits of one task add up to; times are CLOCK_REALTIME in ns, 0 before a hit.

    `thread` is GDB's number of the task's thread, `cpu` the last CPU (-1: never hit),
    `components` a mask; `uses_fpu` is None while nothing has shown whether it does. `findings`
    counts what audits found by rule, `cleaned` the bytes by component that the sanitizer cleaned.
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
    uses_fpu: bool | None = None
    findings: Counter[str] = field(default_factory=Counter)
    cleaned: Counter[str] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """Return the number of hits on all functions."""
        return self.live_hits + self.memory_hits


class Totals:
    """What a session's hits add up to: by task, by path, and what went wrong.

    `audited` counts the calls and the audits that were made, `undecided` by rule how often
    one could not tell.
    """

    def __init__(self) -> None:
        self.tasks: dict[tuple[int, int], TaskTotals] = {}
        self.paths: Counter[tuple[str, ...]] = Counter()
        self.errors: Counter[str] = Counter()
        self.filtered = 0
        self.audited = 0
        self.undecided: Counter[str] = Counter()

    @property
    def hits(self) -> int:
        """Return the number of hits recorded."""
        return sum(self.paths.values())

    def of(self, task: Task) -> TaskTotals:
        """Return the totals of `task`, new ones if it was never seen.

        A task_struct's memory and a pid are both used again, the pair of them hardly ever.
        """
        key = (task.address, task.pid)
        if key not in self.tasks:
            self.tasks[key] = TaskTotals(task.pid, task.tgid, task.comm, task.address)
        return self.tasks[key]

    def path(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """Return the key to count a hit under in `paths`, where it then is.

        `path[0]` is the function, called by `path[1]`, and so on; when there are too many
        paths, one key stands for all others of the function.
        """
        if path not in self.paths and len(self.paths) >= MAX_PATHS:
            path = (path[0], "(other paths)")
        self.paths.setdefault(path, 0)
        return path

    def keep(self, said: Returned) -> None:
        """Add what the audit of a call says."""
        row = self.of(said.task)
        row.findings.update(finding.rule for finding in said.findings)
        row.cleaned.update(said.cleaned)
        self.audited += 1
        self.undecided.update(one.rule for one in said.undecided)

    def take(self, audit: Audit) -> None:
        """Add what an audit of memory found; made again, it adds nothing."""
        found: Counter[tuple[Task, str]] = Counter(
            (finding.about, finding.rule)
            for finding in audit.findings
            if isinstance(finding.about, Task)
        )
        for (task, rule), count in found.items():
            findings = self.of(task).findings
            findings[rule] = max(findings[rule], count)
        self.audited += 1
