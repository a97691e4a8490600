# SPDX-License-Identifier: GPL-2.0-or-later
"""The results of an audit: findings, and what memory cannot decide."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Union

from gdbfpu.kernel.tasks import Task

__all__ = ("Finding", "Result", "Severity", "Undecided", "Unread", "finding_json", "name_of")


class Severity(Enum):
    """How bad a finding is, worst first; the values are SARIF 2.1.0's.

    ERROR: data reaches another owner, or the kernel's state contradicts itself. WARNING: the
    wrong state does harm when something uses it. NOTE: it does no harm in this kernel.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """Something that breaks a rule.

    `rule` is the rule's name. `about` is the task, or the name of something else. `read` says what
    was read, and `address` where it begins. `why` says why the finding matters. `component` is the
    name of the state component, or empty. `evidence` has the bytes; only `--reveal` shows them.
    """

    rule: str
    severity: Severity
    about: Task | str
    read: str
    address: int
    why: str
    component: str = ""
    evidence: bytes = b""

    @property
    def subject(self) -> str:
        """Return the name of the task or the thing that the finding is about."""
        return self.about if isinstance(self.about, str) else name_of(self.about)


@dataclass(frozen=True)
class Undecided:
    """Something about `subject` that memory cannot tell. It does not mean `subject` is clean."""

    rule: str
    subject: str
    why: str


@dataclass(frozen=True)
class Unread(Undecided):
    """It is undecided because memory that has the answer could not be read."""


Result = Union[Finding, Undecided]
"""What an audit says about one subject."""


def name_of(task: Task) -> str:
    """Return the name of `task` for people: `Xorg (pid 42)`."""
    return f"{task.comm} (pid {task.pid})"


def finding_json(finding: Finding, reveal: bool) -> dict[str, Any]:
    """Return `finding` in the form that `json.dumps` takes, with its bytes only if `reveal`."""
    about = finding.about
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "subject": finding.subject,
        "pid": None if isinstance(about, str) else about.pid,
        "component": finding.component,
        "address": f"{finding.address:#x}",
        "read": finding.read,
        "why": finding.why,
        "evidence": finding.evidence.hex() if reveal else None,
    }
