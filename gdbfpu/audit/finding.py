# SPDX-License-Identifier: GPL-2.0-or-later
"""What an audit says: a finding, or that memory cannot decide a rule."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Union

from gdbfpu.kernel.tasks import Task

__all__ = ("Finding", "Result", "Severity", "Undecided", "finding_json", "name_of")


class Severity(Enum):
    """How bad a finding is, worst first; the values are SARIF 2.1.0's.

    ERROR: data reaches another owner, or the kernel's state contradicts itself. WARNING: it will
    do harm when it is used. NOTE: it does none in this kernel as it is.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """Something that should not be so.

    `rule` names the rule. `about` is the task it is about, or a name of something else. `read`
    says what was read, `address` where it begins, `why` why it matters. `component` is a state
    component's name, empty where none is meant. `evidence` are the bytes, which only `--reveal`
    shows.
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
        """Return who or what it is about, in words."""
        return self.about if isinstance(self.about, str) else name_of(self.about)


@dataclass(frozen=True)
class Undecided:
    """Something that memory does not tell of `subject`; it must not be taken for clean."""

    rule: str
    subject: str
    why: str


Result = Union[Finding, Undecided]
"""What an audit says of one subject."""


def name_of(task: Task) -> str:
    """Return `task` as findings name it: `Xorg (pid 42)`."""
    return f"{task.comm} (pid {task.pid})"


def finding_json(finding: Finding, reveal: bool) -> dict[str, Any]:
    """Return one finding as what `json.dumps` takes; its bytes only with `reveal`."""
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
