# SPDX-License-Identifier: GPL-2.0-or-later
"""The totals of a trace, per task and per path, in bounded memory.

No hit is lost at the bound: all hits beyond it are counted together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from gdbfpu.audit.engine import Audit
from gdbfpu.fpu.evidence import Answer, Evidence, Use
from gdbfpu.kernel.tasks import Task
from gdbfpu.trace.task_totals import MAX_MASKS, TaskTotals

__all__ = (
    "MAX_ERRORS",
    "MAX_KNOWN",
    "MAX_PATHS",
    "MAX_ROWS",
    "AuditFacts",
    "Facts",
    "Totals",
)

MAX_ERRORS = 100
"""How many reasons have a count of their own. A reason says why a hit was not recorded.

There may be many reasons, because a reason can contain an address. All others share one count.
"""

MAX_PATHS = 10_000
"""The most backtraces that are counted separately; hits on any others are counted together."""

MAX_ROWS = 10_000
"""How many tasks have totals of their own; beyond that, the least recently hit are merged."""

MAX_KNOWN = 4 * MAX_ROWS
"""The most tasks, hit or not, for which we remember whether they use the FPU."""

_NOTHING = Evidence()
_FOLDED = 4  # when full, merge a quarter of the tasks at once, since each merge sorts them all


class Facts(NamedTuple):
    """What one hit adds to the totals of its task; see TaskTotals for the fields.

    `mask` is the state's XSTATE_BV (u64). `live` says whether the CPU, not memory, had the state.
    `use` is whether the task uses the FPU as far as known at this hit, None if the hit does not
    say.
    """

    time_ns: int
    cpu: int
    thread: int | None
    mask: int
    live: bool
    use: Use | None


class AuditFacts(NamedTuple):
    """What the audit of one call adds to the totals.

    `rules` names the rule of each finding, `undecided` each rule that could not decide, `cleaned`
    counts by component the bytes that the call made clean.
    """

    rules: tuple[str, ...]
    undecided: tuple[str, ...]
    cleaned: Mapping[str, int]


class Totals:
    """The sum of a session's hits by task and by path, and what went wrong.

    `hits` counts the hits recorded. `audited` counts the audits of calls and of memory.
    `undecided` counts how often each rule could not decide. `others` has the hits of the `folded`
    tasks that no longer have totals of their own. `known` returns what is known about a task, from
    hits and from reports.
    """

    def __init__(self) -> None:
        self._evidence: dict[tuple[int, int], Evidence] = {}
        self.tasks: dict[tuple[int, int], TaskTotals] = {}
        self.others = TaskTotals(0, 0, "(other tasks)", 0)
        self.folded = 0
        self.hits = 0
        self.paths: Counter[tuple[str, ...]] = Counter()
        self.errors: Counter[str] = Counter()
        self.filtered = 0
        self.audited = 0
        self.undecided: Counter[str] = Counter()
        self._added: Facts | AuditFacts | None = None  # what was added last

    def row(self, task: Task) -> TaskTotals:
        """Return the totals of `task`, new ones if it was never seen.

        The kernel reuses the memory of a task_struct, and pids, but hardly ever the same pair.
        """
        key = (task.address, task.pid)
        if key not in self.tasks:
            if len(self.tasks) >= MAX_ROWS:
                self._fold()
            self.tasks[key] = TaskTotals(task.pid, task.tgid, task.comm, task.address)
        return self.tasks[key]

    def add(self, task: Task, path: tuple[str, ...], facts: Facts) -> TaskTotals:
        """Add a hit of `task` to its row and to `paths`; return the row.

        `path` is the function and its callers, as for `path()`. All hits are added here, live ones
        and those of event files. A ^C never leaves half a hit added, and adding the same `facts`
        object again adds nothing.
        """
        row = self.tasks.get((task.address, task.pid)) or self.row(task)
        if facts is self._added:
            return row
        passed = self.paths.get(path)
        if passed is None:
            path = self.path(path)
            passed = self.paths[path]
        function = path[0]
        hits = row.hits.get(function, 0)
        time_ns, cpu, thread, mask, live, use = facts
        known = row.use
        if use is not known and (use is None or known.answer is Answer.YES):
            use = known
        masks, same = row.masks, row.masks.get(mask, 0)
        counted = same or len(masks) < MAX_MASKS
        # No call from here on: Python handles a ^C only at calls.
        self._added = facts
        self.hits += 1
        self.paths[path] = passed + 1
        row.hits[function] = hits + 1
        if counted:
            masks[mask] = same + 1
        row.live_hits += live
        row.memory_hits += not live
        row.components |= mask
        row.use = use
        row.comm, row.thread, row.cpu = task.comm, thread, cpu
        if not row.first_ns:
            row.first_ns = time_ns
        row.last_ns = time_ns
        return row

    def add_several(
        self, task: Task, path: tuple[str, ...], facts: Facts, hits: int, first_ns: int
    ) -> None:
        """Add `hits` hits of `task` that were counted in the kernel: all of one path and mask.

        `facts` are those of the last of them; the first was at `first_ns`. Later hits of the task
        may have been added before. A ^C must not come in between.
        """
        row = self.row(task)
        latest = row.last_ns, row.comm, row.thread, row.cpu
        self.add(task, path, facts)
        if latest[0] > facts.time_ns:
            row.last_ns, row.comm, row.thread, row.cpu = latest
        more = hits - 1
        path = self.path(path)
        self.hits += more
        self.paths[path] += more
        row.hits[path[0]] += more
        if facts.mask in row.masks:
            row.masks[facts.mask] += more
        if facts.live:
            row.live_hits += more
        else:
            row.memory_hits += more
        row.first_ns = min(row.first_ns, first_ns)

    def known(self, task: Task) -> Evidence:
        """Return what is known about whether `task` uses the FPU."""
        return self._evidence.get((task.address, task.pid), _NOTHING)

    def learn(self, task: Task, evidence: Evidence) -> None:
        """Remember what is known about `task`. A second call changes nothing.

        When full, forget the quarter of the tasks that was seen first.
        """
        key = (task.address, task.pid)
        if key not in self._evidence and len(self._evidence) >= MAX_KNOWN:
            kept = list(self._evidence.items())[MAX_KNOWN // _FOLDED :]
            self._evidence = dict(kept)
        self._evidence[key] = evidence
        row = self.tasks.get(key)
        if row is not None:
            row.use = evidence.use

    def add_audit(self, row: TaskTotals, facts: AuditFacts) -> None:
        """Add the audit of a call to its task's `row`; see `add` about ^C and repeated `facts`."""
        if facts is self._added:
            return
        found = row.findings + Counter(facts.rules)
        cleaned = row.cleaned + Counter(facts.cleaned)
        undecided = self.undecided + Counter(facts.undecided)
        # No call from here on: Python handles a ^C only at calls.
        self._added = facts
        row.findings, row.cleaned, self.undecided = found, cleaned, undecided
        self.audited += 1

    def _fold(self) -> None:
        """Merge the totals of the tasks that were hit longest ago."""
        oldest = sorted(self.tasks, key=lambda key: self.tasks[key].last_ns)
        oldest = oldest[: -(-len(oldest) // _FOLDED)]
        others = self.others
        for key in oldest:
            others = others.plus(self.tasks[key])
        gone = set(oldest)
        kept = {key: row for key, row in self.tasks.items() if key not in gone}
        folded = self.folded + len(oldest)
        # No call from here on, so a ^C leaves either the old totals or the new ones.
        self.tasks, self.others, self.folded = kept, others, folded

    def rest(self) -> tuple[TaskTotals, ...]:
        """Return the row of the merged tasks, or no row if none were merged."""
        name = f"({self.folded} other tasks)"
        return (replace(self.others, comm=name),) if self.folded else ()

    @property
    def failed(self) -> int:
        """Return the number of hits that could not be recorded."""
        return sum(self.errors.values())

    def fail(self, reason: str, times: int = 1) -> None:
        """Count a hit, or as many `times`, that could not be recorded for `reason`."""
        if reason not in self.errors and len(self.errors) >= MAX_ERRORS:
            reason = "other reasons"
        self.errors[reason] += times

    def path(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """Return the key in `paths` for a hit with `path`; add the key if it is new.

        `path[0]` is the function, called by `path[1]`, and so on. When there are too many paths,
        one key stands for all other paths of the function.
        """
        if path not in self.paths and len(self.paths) >= MAX_PATHS:
            path = (path[0], "(other paths)")
        self.paths.setdefault(path, 0)
        return path

    def take(self, audit: Audit) -> None:
        """Add what an audit of memory found. The same findings never count twice."""
        found: Counter[tuple[Task, str]] = Counter(
            (finding.about, finding.rule)
            for finding in audit.findings
            if isinstance(finding.about, Task)
        )
        for (task, rule), count in found.items():
            findings = self.row(task).findings
            findings[rule] = max(findings[rule], count)
        self.audited += 1
