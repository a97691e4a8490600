# SPDX-License-Identifier: GPL-2.0-or-later
"""Follow the rules over tasks, CPUs and the kernel, and keep what they say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Callable

from gdbfpu.audit.finding import Finding, Result, Severity, Undecided, name_of
from gdbfpu.audit.frame_view import FrameView
from gdbfpu.audit.rule import Scope
from gdbfpu.audit.rules import BLIND_SPOTS, rules_of
from gdbfpu.audit.snapshot import Snapshot
from gdbfpu.errors import GdbFpuError
from gdbfpu.kernel.tasks import Task

__all__ = ("Audit", "audit", "audit_frame", "follow", "sort")

_READ, _WALK = "READ", "WALK"  # in place of a rule's name: a subject, the walk not read to its end


@dataclass(frozen=True)
class Audit:
    """What an audit found: `findings`, worst first, what stays `undecided`, `tasks` looked at."""

    kernel: str
    tasks: int
    findings: tuple[Finding, ...]
    undecided: tuple[Undecided, ...]

    def count(self, severity: Severity) -> int:
        """Return how many findings are of `severity`."""
        return sum(finding.severity is severity for finding in self.findings)

    @property
    def verdict(self) -> str:
        """Return `findings`, `incomplete`, `notes` or `clean`: the worst there is, for scripts.

        It is `incomplete` where a task, or the list of them, could not be read.
        """
        if any(finding.severity is not Severity.NOTE for finding in self.findings):
            return "findings"
        if any(one.rule in (_READ, _WALK) for one in self.undecided):
            return "incomplete"
        return "notes" if self.findings else "clean"


def audit(snapshot: Snapshot, task: Task | None, progress: Callable[[int], None]) -> Audit:
    """Follow every rule of memory; of tasks only those on `task`, if one is given.

    `progress` is called with the number of tasks looked at. What cannot be read is undecided.
    """
    results: list[Result] = [Undecided(rule, "every CPU", why) for rule, why in BLIND_SPOTS]
    results += _kernel(snapshot, task)
    count = 0
    try:
        for one in [task] if task is not None else snapshot.tasks():
            results += follow(Scope.TASK, one, snapshot, snapshot.view)
            count += 1
            progress(count)
    except GdbFpuError as error:
        results.append(Undecided(_WALK, "the tasks", f"the walk ended early: {error}"))
    return _made(snapshot, count, results)


def audit_frame(snapshot: Snapshot, view: FrameView) -> Audit:
    """Follow the rules on frames for `view`."""
    return _made(snapshot, 1, follow(Scope.FRAME, view.task, snapshot, lambda _: view))


def _made(snapshot: Snapshot, tasks: int, results: list[Result]) -> Audit:
    return Audit(
        kernel=snapshot.model.kernel.banner(),
        tasks=tasks,
        findings=sort(result for result in results if isinstance(result, Finding)),
        undecided=tuple(result for result in results if isinstance(result, Undecided)),
    )


def _kernel(snapshot: Snapshot, task: Task | None) -> list[Result]:
    """Follow the rules on the kernel and its CPUs; with `task`, those on the CPU that runs it."""
    results = _follow(Scope.KERNEL, "the kernel", snapshot) if task is None else []
    cpus = snapshot.model.kernel.online_cpus() if task is None else snapshot.cpus_of(task)[:1]
    for number in cpus:
        results += _follow(Scope.CPU, f"CPU {number}", snapshot, partial(snapshot.cpu, number))
    return results


def follow(
    scope: Scope, task: Task, snapshot: Snapshot, view: Callable[[Task], object]
) -> list[Result]:
    """Return what the rules of `scope` say of `task`, whom `view` shows as they want to see it."""
    return _follow(scope, name_of(task), snapshot, partial(view, task))


def _follow(
    scope: Scope, subject: str, snapshot: Snapshot, view: Callable[[], object] | None = None
) -> list[Result]:
    """Return what the rules of `scope` say; undecided, where memory cannot be read or believed."""
    results: list[Result] = []
    try:
        arguments = [view()] if view else []
    except GdbFpuError as error:
        return [Undecided(_READ, subject, f"not read: {error}")]
    for rule in rules_of(scope):
        try:
            for said in rule.check(snapshot, *arguments):
                results.append(rule.stamped(said, subject))
        except GdbFpuError as error:
            results.append(Undecided(rule.name, subject, f"not read: {error}"))
    return results


def sort(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return `findings`, worst first, in their order otherwise."""
    worst_first = list(Severity)
    return tuple(sorted(findings, key=lambda finding: worst_first.index(finding.severity)))
