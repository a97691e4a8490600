# SPDX-License-Identifier: GPL-2.0-or-later
"""What a rule says: a finding, or that memory cannot decide it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Callable, Union

from gdbfpu.kernel.tasks import Task

__all__ = (
    "SEVERITIES",
    "Check",
    "Finding",
    "Result",
    "Rule",
    "Undecided",
    "finding_json",
    "name_of",
)

SEVERITIES = ("error", "warning", "note")
"""From worst to least, as SARIF 2.1.0 names them: data reaches another owner or the kernel's state
contradicts itself; it will do harm when used; it does none in this kernel as it is."""


@dataclass(frozen=True)
class Finding:
    """Something that should not be so.

    `rule` names the rule, `severity` is one of SEVERITIES. `about` is the task it is about, or
    a name of something else. `read` says what was read, `address` where it begins, `why` why it
    matters. `component` is a state component's name, empty where none is meant. `evidence` are
    the bytes, which only `--reveal` shows.
    """

    rule: str
    severity: str
    about: Task | str
    read: str
    address: int
    why: str
    component: str = ""
    evidence: bytes = b""

    @property
    def subject(self) -> str:
        """Return who or what it is about, in words."""
        return self.about if isinstance(self.about, str) else name_of(self.about)


@dataclass(frozen=True)
class Undecided:
    """Something that memory does not tell of `subject`; it must not be taken for clean."""

    rule: str
    subject: str
    why: str


Result = Union[Finding, Undecided]
"""What a rule yields."""
Check = Callable[..., Iterator[Result]]
"""A rule's function: the Snapshot, and what its scope says, in; Results out."""


@dataclass(frozen=True)
class Rule:
    """A rule: its `name`, what must hold (`invariant`, one sentence), and the function that looks.

    `scope` is what the function is called for, after the Snapshot: `task` (a TaskView), `cpu` (a
    CpuView), `kernel` (nothing more), `frame` (a FrameView); or, when a function is left or
    entered, `sanitize`, `fork`, `exec`, `sigreturn`, `fault` (a TaskView).
    """

    name: str
    scope: str
    invariant: str
    check: Check

    @property
    def page(self) -> str:
        """Return the path of the rule's page in the project's documentation."""
        return f"docs/audit/{self.name}.md"


def name_of(task: Task) -> str:
    """Return `task` as findings name it: `Xorg (pid 42)`."""
    return f"{task.comm} (pid {task.pid})"


def finding_json(finding: Finding, reveal: bool) -> dict[str, Any]:
    """Return one finding as what `json.dumps` takes; its bytes only with `reveal`."""
    about = finding.about
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "subject": finding.subject,
        "pid": None if isinstance(about, str) else about.pid,
        "component": finding.component,
        "address": f"{finding.address:#x}",
        "read": finding.read,
        "why": finding.why,
        "evidence": finding.evidence.hex() if reveal else None,
    }
