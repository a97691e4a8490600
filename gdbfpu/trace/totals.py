# SPDX-License-Identifier: GPL-2.0-or-later
"""The totals of a trace, per task and per path, in memory that has an upper bound.

Nothing is lost at the bound: what is beyond it is counted together.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from gdbfpu.audit.engine import Audit
from gdbfpu.audit.watch import Returned
from gdbfpu.kernel.tasks import Task

__all__ = ("MAX_ERRORS", "MAX_PATHS", "MAX_ROWS", "TaskTotals", "Totals")

MAX_ERRORS = 100
"""The most different reasons counted why hits were not recorded; they may tell an address."""

MAX_PATHS = 10_000
"""The most different backtraces counted; hits on others are counted together."""

MAX_ROWS = 10_000
"""The most tasks with totals of their own; those hit longest ago are then counted together."""

_FOLDED = 4  # one of so many tasks is folded at once, since it takes a look at all


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

    def plus(self, other: TaskTotals) -> TaskTotals:
        """Return these totals with those of `other` added; whose they are stays."""
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
        )


class Totals:
    """What a session's hits add up to: by task, by path, and what went wrong.

    `audited` counts the calls and the audits that were made, `undecided` by rule how often
    one could not tell. `others` are the hits of the `folded` tasks that have no totals of their
    own any more.
    """

    def __init__(self) -> None:
        self.tasks: dict[tuple[int, int], TaskTotals] = {}
        self.others = TaskTotals(0, 0, "(other tasks)", 0)
        self.folded = 0
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
            if len(self.tasks) >= MAX_ROWS:
                self._fold()
            self.tasks[key] = TaskTotals(task.pid, task.tgid, task.comm, task.address)
        return self.tasks[key]

    def _fold(self) -> None:
        """Count the tasks that were hit longest ago together."""
        oldest = sorted(self.tasks, key=lambda key: self.tasks[key].last_ns)
        oldest = oldest[: -(-len(oldest) // _FOLDED)]
        others = self.others
        for key in oldest:
            others = others.plus(self.tasks[key])
        gone = set(oldest)
        kept = {key: row for key, row in self.tasks.items() if key not in gone}
        folded = self.folded + len(oldest)
        # A ^C up to here changes nothing: nothing is called from here on.
        self.tasks, self.others, self.folded = kept, others, folded

    def rest(self) -> tuple[TaskTotals, ...]:
        """Return a row for the tasks that are counted together, nothing where there are none."""
        name = f"({self.folded} other tasks)"
        return (replace(self.others, comm=name),) if self.folded else ()

    def fail(self, reason: str) -> None:
        """Count a hit that could not be recorded for `reason`."""
        if reason not in self.errors and len(self.errors) >= MAX_ERRORS:
            reason = "other reasons"
        self.errors[reason] += 1

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
