# SPDX-License-Identifier: GPL-2.0-or-later
"""Apply the rules to tasks, CPUs and the kernel, and collect the results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Callable

from gdbfpu.audit.finding import Finding, Result, Severity, Undecided, Unread, name_of
from gdbfpu.audit.frame_view import FrameView
from gdbfpu.audit.rule import Scope
from gdbfpu.audit.rules import BLIND_SPOTS, rules_of
from gdbfpu.audit.snapshot import Snapshot
from gdbfpu.errors import GdbFpuError, MemoryFault, NoAnswer
from gdbfpu.kernel.tasks import Task

__all__ = ("Audit", "apply", "audit", "audit_frame", "sort")

_READ, _WALK = "READ", "WALK"  # in place of a rule: a subject, or the list of tasks, is unreadable


@dataclass(frozen=True)
class Audit:
    """The result of an audit: `findings`, worst first, and what is `undecided`.

    `tasks` is the number of audited tasks.
    """

    kernel: str
    tasks: int
    findings: tuple[Finding, ...]
    undecided: tuple[Undecided, ...]

    def count(self, severity: Severity) -> int:
        """Return the number of findings of `severity`."""
        return sum(finding.severity is severity for finding in self.findings)

    @property
    def sound(self) -> bool:
        """Return whether there is no error and no warning, and all could be read."""
        return self.verdict in ("clean", "notes")

    @property
    def verdict(self) -> str:
        """Return the result in one word for scripts: `findings`, `incomplete`, `notes`, `clean`.

        `findings` means that there are errors or warnings. `incomplete` means that a task, a CPU,
        the list of tasks or memory that a rule needs could not be read.
        """
        if any(finding.severity is not Severity.NOTE for finding in self.findings):
            return "findings"
        if any(isinstance(one, Unread) for one in self.undecided):
            return "incomplete"
        return "notes" if self.findings else "clean"


def audit(snapshot: Snapshot, task: Task | None, progress: Callable[[int], None]) -> Audit:
    """Apply every rule on memory to all tasks, or to `task` only if one is given.

    `progress` is called with the number of tasks audited so far. What cannot be read is undecided.
    Raises NoAnswer.
    """
    results: list[Result] = [Undecided(rule, "every CPU", why) for rule, why in BLIND_SPOTS]
    results += _kernel(snapshot, task)
    count = 0
    try:
        for one in [task] if task is not None else snapshot.tasks():
            results += apply(Scope.TASK, one, snapshot, snapshot.view)
            count += 1
            progress(count)
    except NoAnswer:
        raise
    except GdbFpuError as error:
        results.append(Unread(_WALK, "the tasks", f"the walk ended early: {error}"))
    return _collected(snapshot, count, results)


def audit_frame(snapshot: Snapshot, view: FrameView) -> Audit:
    """Apply the rules on frames to `view`."""
    return _collected(snapshot, 1, apply(Scope.FRAME, view.task, snapshot, lambda _: view))


def _collected(snapshot: Snapshot, tasks: int, results: list[Result]) -> Audit:
    return Audit(
        kernel=snapshot.model.kernel.banner(),
        tasks=tasks,
        findings=sort(result for result in results if isinstance(result, Finding)),
        undecided=tuple(result for result in results if isinstance(result, Undecided)),
    )


def _kernel(snapshot: Snapshot, task: Task | None) -> list[Result]:
    """Apply the rules on the kernel and its CPUs; with `task`, only those on its CPU."""
    results = _apply(Scope.KERNEL, "the kernel", snapshot) if task is None else []
    cpus = snapshot.model.kernel.online_cpus() if task is None else snapshot.cpus_of(task)[:1]
    for number in cpus:
        results += _apply(Scope.CPU, f"CPU {number}", snapshot, partial(snapshot.cpu, number))
    return results


def apply(
    scope: Scope, task: Task, snapshot: Snapshot, view: Callable[[Task], object]
) -> list[Result]:
    """Return the results of the rules of `scope` on `view(task)`."""
    return _apply(scope, name_of(task), snapshot, partial(view, task))


def _apply(
    scope: Scope, subject: str, snapshot: Snapshot, view: Callable[[], object] | None = None
) -> list[Result]:
    """Return the results of the rules of `scope`; undecided if memory is unreadable or corrupt.

    Raises NoAnswer.
    """
    results: list[Result] = []
    try:
        arguments = [view()] if view else []
    except NoAnswer:
        raise
    except GdbFpuError as error:
        return [Unread(_READ, subject, f"not read: {error}")]
    for rule in rules_of(scope):
        try:
            for outcome in rule.check(snapshot, *arguments):
                results.append(rule.result(outcome, subject))
        except NoAnswer:
            raise
        except GdbFpuError as error:
            kind = Unread if isinstance(error, MemoryFault) else Undecided
            results.append(kind(rule.name, subject, f"not read: {error}"))
    return results


def sort(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return `findings` in stable order, worst first."""
    worst_first = list(Severity)
    return tuple(sorted(findings, key=lambda finding: worst_first.index(finding.severity)))
