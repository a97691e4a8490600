# SPDX-License-Identifier: GPL-2.0-or-later
"""Report which tasks use the FPU: join the trace's totals with a walk over the kernel's tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Callable

from gdbfpu.errors import CorruptState, MemoryFault
from gdbfpu.fpu.evidence import Answer
from gdbfpu.fpu.looks import Looks
from gdbfpu.kernel.tasks import Kernel, Task
from gdbfpu.report.sorts import SORTS
from gdbfpu.text.counted import counted
from gdbfpu.trace.task_totals import TaskTotals
from gdbfpu.trace.totals import Totals
from gdbfpu.xsave import features

__all__ = ("MAX_LISTED", "Report", "by_use", "collect", "seconds_of")

MAX_LISTED = 100_000
"""How many living tasks have a row of their own; the others are listed only if they were hit."""

_MOST_UNREAD = 100  # tasks whose state cannot be read, that are named


@dataclass(frozen=True)
class Report:
    """What `fpu-report` shows.

    - `rows`: a row for each task seen, even if it has ended. Tasks that use the FPU come first,
      then those with the most hits. If there are more tasks than `MAX_ROWS` of the totals, a row
      with pid 0 has the hits of the others.
    - `tasks`: how many tasks are alive, or are in the event file; `kthreads`: how many of them are
      kernel threads; `using`: how many use the FPU.
    - `paths`: hits by function and callers, innermost first.
    - `defects`: what could not be read, a line each.
    - `audits`: how many audits the findings come from; `undecided`: how often each rule could not
      decide.
    - `source`: the name of the event file; empty if the report comes from a kernel.
    - `seconds`: the time from the first hit to the last; 0 if it says nothing, as for several
      files.
    """

    kernel: str
    switching: str
    rows: tuple[TaskTotals, ...]
    tasks: int
    kthreads: int
    using: int
    hits: int
    paths: tuple[tuple[tuple[str, ...], int], ...]
    defects: tuple[str, ...]
    audits: int = 0
    undecided: Mapping[str, int] = field(default_factory=dict)
    source: str = ""
    seconds: float = 0.0

    def sorted(self, order: str) -> tuple[TaskTotals, ...]:
        """Return the rows in the order `order`, a key of SORTS."""
        return tuple(sorted(self.rows, key=SORTS[order]))

    def functions(self) -> tuple[str, ...]:
        """Return the names of the functions that were hit, sorted."""
        return tuple(sorted({name for row in self.rows for name in row.hits}))

    def to_json(self, order: str = "") -> dict[str, Any]:
        """Return the report as an object for `json.dumps`; docs/data.md describes the keys."""
        return {
            "kernel": self.kernel,
            "switching": self.switching,
            "tasks": [_row_json(row) for row in (self.sorted(order) if order else self.rows)],
            "totals": {
                "tasks": self.tasks,
                "using_fpu": self.using,
                "hits": self.hits,
                "seconds": self.seconds,
            },
            "defects": list(self.defects),
            "audits": self.audits,
            "undecided": dict(self.undecided),
        }


def seconds_of(rows: Iterable[TaskTotals]) -> float:
    """Return the time from the first hit of `rows` to the last, in seconds."""
    hit = [(row.first_ns, row.last_ns) for row in rows if row.first_ns]
    if not hit:
        return 0.0
    return (max(last for _, last in hit) - min(first for first, _ in hit)) / 1e9


def collect(looks: Looks, totals: Totals, progress: Callable[[int], None]) -> Report:
    """Return the report of the stopped kernel, with the hits in `totals`.

    This also adds to `totals` which tasks use the FPU. `progress` is called with the number of
    tasks read so far. What cannot be read is listed in the report's defects.
    """
    model, hit = looks.model, dict(totals.tasks)
    walk = _Walk(looks, totals)
    defects = [f"{counted(n, 'hit')} not recorded: {why}" for why, n in totals.errors.items()]
    try:
        running = _running(model.kernel) if model.switching == "eager" else {}
        for task in model.kernel.tasks():
            hit.pop((task.address, task.pid), None)
            walk.take(task, running.get(task.address))
            progress(walk.seen["tasks"])
    except (CorruptState, MemoryFault) as error:
        walk.defects.append(f"the remaining tasks could not be read: {error}")
    rows = (*walk.rows, *hit.values(), *totals.rest())
    return Report(
        kernel=model.kernel.banner(),
        switching=model.switching,
        rows=by_use(rows),
        tasks=walk.seen["tasks"],
        kthreads=walk.seen["kthreads"],
        using=walk.seen["using"],
        hits=sum(row.count for row in rows),
        paths=tuple(totals.paths.most_common()),
        defects=(*defects, *walk.defects, *walk.left_out()),
        audits=totals.audited,
        undecided=dict(totals.undecided),
        seconds=seconds_of(rows),
    )


class _Walk:
    """A walk over the living tasks: their `rows`, how many were `seen`, and the `defects`."""

    def __init__(self, looks: Looks, totals: Totals) -> None:
        self._looks, self._totals = looks, totals
        self._threads = _thread_numbers(looks.model.kernel)
        self.rows: list[TaskTotals] = []
        self.seen: Counter[str] = Counter()
        self.defects: list[str] = []

    def take(self, task: Task, cpu: int | None) -> None:
        """Add `task`, which the CPU number `cpu` runs if that is given."""
        if why := _look(self._looks, self._totals, task, cpu):
            self.seen["unread"] += 1
            if self.seen["unread"] <= _MOST_UNREAD:
                self.defects.append(why)
        row = _living(self._totals, task, self._threads)
        using = row.use.answer is Answer.YES
        self.seen.update(tasks=1, kthreads=int(task.kthread), using=int(using))
        if row.hits or (not task.kthread and len(self.rows) < MAX_LISTED):
            self.rows.append(row)
        elif not task.kthread:
            self.seen["unlisted"] += 1

    def left_out(self) -> Iterator[str]:
        """Yield a line on each kind of thing of which there were too many."""
        if self.seen["unread"] > _MOST_UNREAD:
            more = self.seen["unread"] - _MOST_UNREAD
            yield f"the FPU state of {counted(more, 'more task')} could not be read"
        if self.seen["unlisted"]:
            yield f"{counted(self.seen['unlisted'], 'task')} without hits not listed, only counted"


def by_use(rows: Iterable[TaskTotals]) -> tuple[TaskTotals, ...]:
    """Return `rows` in the order of a report: users first, then most hits, then pid."""
    return tuple(
        sorted(rows, key=lambda row: (row.use.answer is not Answer.YES, -row.count, row.pid))
    )


def _thread_numbers(kernel: Kernel) -> dict[int, int]:
    """Return GDB's thread numbers by pid; empty where GDB's threads are CPUs, not tasks."""
    machine = kernel.target.machine
    if machine is None or not machine.stub.threads_are_tasks:
        return {}
    return {thread.lwp: thread.num for thread in machine.threads()}


def _running(kernel: Kernel) -> dict[int, int]:
    """Return each online CPU by the address of the task_struct that it runs."""
    return {kernel.current_task(cpu): cpu for cpu in kernel.online_cpus()}


def _look(looks: Looks, totals: Totals, task: Task, cpu: int | None) -> str:
    """Tell `totals` whether `task` uses the FPU; return what could not be read, or ``."""
    try:
        totals.learn(task, looks.now(totals.known(task), task, cpu))
    except (CorruptState, MemoryFault) as error:
        return f"FPU state of {task.comm} (pid {task.pid}): {error}"
    return ""


def _living(totals: Totals, task: Task, threads: dict[int, int]) -> TaskTotals:
    """Return an up-to-date row for a living task; it is empty if the task was never hit."""
    row = totals.tasks.get((task.address, task.pid))
    row = row or TaskTotals(task.pid, task.tgid, task.comm, task.address)
    thread = threads.get(task.pid, row.thread)
    return replace(row, comm=task.comm, thread=thread, use=totals.known(task).use)


def _row_json(row: TaskTotals) -> dict[str, Any]:
    return {
        "thread": row.thread,
        "pid": row.pid,
        "tgid": row.tgid,
        "comm": row.comm,
        "hits": dict(row.hits),
        "cpu": row.cpu if row.cpu >= 0 else None,
        "components": list(features.names(row.components)),
        "component_hits": {
            features.component_name(number): row.with_component(number)
            for number in features.bits(row.components)
        },
        "live_hits": row.live_hits,
        "memory_hits": row.memory_hits,
        "first_ns": row.first_ns or None,
        "last_ns": row.last_ns or None,
        "uses_fpu": row.use.answer.to_json(),
        "why": row.use.why,
        "findings": dict(row.findings),
        "cleaned": dict(row.cleaned),
    }
