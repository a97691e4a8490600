# SPDX-License-Identifier: GPL-2.0-or-later
"""Declare rules. Each is declared once, with the function that checks it:

@rule("TWICE", scope=Scope.KERNEL, severity=Severity.ERROR,
      invariant="No task runs on two CPUs at once.")
def twice(snapshot: Snapshot) -> Iterator[Outcome]:
    ...
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Callable, NamedTuple, Union

from gdbfpu.audit.finding import Finding, Result, Severity, Undecided
from gdbfpu.kernel.tasks import Task

__all__ = ("BlindSpot", "Check", "Defect", "Outcome", "Rule", "Scope", "Unknown", "rule")


class Scope(Enum):
    """When a rule's function is called, and with which argument after the Snapshot.

    TASK: for each task, with its TaskView. CPU: for each CPU, with its CpuView. KERNEL: once,
    without an argument. FRAME: for a signal frame, with its FrameView. SANITIZE, FORK, EXEC and
    SIGRETURN: when the kernel returns from that job, with the TaskView. FAULT: when the CPU has
    refused to load a state, with the TaskView.
    """

    TASK = "task"
    CPU = "cpu"
    KERNEL = "kernel"
    FRAME = "frame"
    SANITIZE = "sanitize"
    FORK = "fork"
    EXEC = "exec"
    SIGRETURN = "sigreturn"
    FAULT = "fault"


class BlindSpot(NamedTuple):
    """The name of something that no rule can decide from memory, and why none can."""

    name: str
    why: str


@dataclass(frozen=True)
class Defect:
    """What a rule's function found; the fields are those of Finding.

    `severity` is given only if the defect is worse than its rule says, or not as bad.
    """

    about: Task | str
    read: str
    address: int
    why: str
    component: str = ""
    evidence: bytes = b""
    severity: Severity | None = None


@dataclass(frozen=True)
class Unknown:
    """The rule's function cannot decide; `why` says why."""

    why: str


Outcome = Union[Defect, Unknown]
"""What a rule's function yields."""
Check = Callable[..., Iterator[Outcome]]
"""A rule's function. It takes the Snapshot and the argument of its scope, and yields outcomes."""


@dataclass(frozen=True)
class Rule:
    """A rule: its name, the function that checks it, and what must hold (one sentence).

    `severity` is the severity of its worst findings. `repeats` is true if an earlier rule has the
    same name, for another scope.
    """

    name: str
    scope: Scope
    severity: Severity
    invariant: str
    check: Check
    repeats: bool = False

    @property
    def page(self) -> str:
        """Return the path of the rule's page in the project's documentation."""
        return f"docs/audit/{self.name}.md"

    def also(self, scope: Scope) -> Callable[[Check], Rule]:
        """Declare the function below as a check of this rule in another `scope`."""
        return lambda check: replace(self, scope=scope, check=check, repeats=True)

    def result(self, outcome: Outcome, subject: str) -> Result:
        """Return the `outcome` for `subject`, with the rule's name and severity."""
        if isinstance(outcome, Unknown):
            return Undecided(self.name, subject, outcome.why)
        return Finding(
            rule=self.name,
            severity=outcome.severity or self.severity,
            about=outcome.about,
            read=outcome.read,
            address=outcome.address,
            why=outcome.why,
            component=outcome.component,
            evidence=outcome.evidence,
        )


def rule(name: str, *, scope: Scope, severity: Severity, invariant: str) -> Callable[[Check], Rule]:
    """Declare the function below as the check of the rule `name`.

    A Rule takes the function's place.
    """
    return lambda check: Rule(name, scope, severity, invariant, check)
