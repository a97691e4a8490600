# SPDX-License-Identifier: GPL-2.0-or-later
"""What a rule is: declared once, beside the function that looks.

@rule("TWICE", scope=Scope.KERNEL, severity=Severity.ERROR,
      invariant="No two CPUs run one task.")
def twice(snapshot: Snapshot) -> Iterator[Said]:
    ...
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Callable, NamedTuple, Union

from gdbfpu.audit.finding import Finding, Result, Severity, Undecided
from gdbfpu.kernel.tasks import Task

__all__ = ("BlindSpot", "Check", "Defect", "Rule", "Said", "Scope", "Unknown", "rule")


class Scope(Enum):
    """When a rule's function is called, and what with, after the Snapshot.

    TASK: for each task, with its TaskView. CPU: for each CPU, with its CpuView. KERNEL: once,
    with nothing more. FRAME: for a signal frame, with its FrameView. The others get the TaskView
    of a task whose kernel code returns from the sanitizer, fork, exec or sigreturn, or that the
    CPU refused to load the state of (FAULT).
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
    """Something that no rule decides from memory, by name, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class Defect:
    """What a rule's function finds: a Finding without the rule's name; fields are as there.

    `severity` is only for a defect that is not as bad as its rule says.
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
    """What a rule's function cannot decide of its subject, and `why`.

    `blind_spot` is for what no rule decides.
    """

    why: str
    blind_spot: BlindSpot | None = None


Said = Union[Defect, Unknown]
"""What a rule's function yields."""
Check = Callable[..., Iterator[Said]]
"""A rule's function: the Snapshot, and what its scope says, in; what it has to say out."""


@dataclass(frozen=True)
class Rule:
    """A rule: its name, the function that looks, and what must hold (one sentence).

    `severity` is that of its worst findings. `again` tells that a rule of the same name and
    another scope is declared before it.
    """

    name: str
    scope: Scope
    severity: Severity
    invariant: str
    check: Check
    again: bool = False

    @property
    def page(self) -> str:
        """Return the path of the rule's page in the project's documentation."""
        return f"docs/audit/{self.name}.md"

    def also(self, scope: Scope) -> Callable[[Check], Rule]:
        """Declare that the function below holds this rule in another `scope`, too."""
        return lambda check: replace(self, scope=scope, check=check, again=True)

    def stamped(self, said: Said, subject: str) -> Result:
        """Return what the rule's function said of `subject`, with the rule's name and severity."""
        if isinstance(said, Unknown):
            name = said.blind_spot.name if said.blind_spot else self.name
            return Undecided(name, subject, said.why)
        return Finding(
            rule=self.name,
            severity=said.severity or self.severity,
            about=said.about,
            read=said.read,
            address=said.address,
            why=said.why,
            component=said.component,
            evidence=said.evidence,
        )


def rule(name: str, *, scope: Scope, severity: Severity, invariant: str) -> Callable[[Check], Rule]:
    """Declare the function below as the rule `name`; it becomes a Rule, whose `check` it is."""
    return lambda check: Rule(name, scope, severity, invariant, check)
