# SPDX-License-Identifier: GPL-2.0-or-later
"""Turn an audit into text, JSON or SARIF 2.1.0; nothing is printed here."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import gdbfpu
from gdbfpu.audit.engine import Audit
from gdbfpu.audit.finding import Finding, Severity, finding_json
from gdbfpu.audit.rules import RULES
from gdbfpu.text.counted import counted
from gdbfpu.text.screen import Screen
from gdbfpu.text.table import paint

__all__ = ("audit_json", "audit_sarif", "audit_table", "summary")

_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"
_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "blue"}
_WIDTH = 100
_EVIDENCE_SHOWN = 32  # bytes
_SUBJECTS = 4  # of one sentence on what is undecided


def summary(audit: Audit) -> str:
    """Return the last line of an audit, which scripts may rely on.

    `fpu-audit: VERDICT: E errors, W warnings, N notes in T tasks; U not decidable`, where
    VERDICT is `clean`, `notes`, `incomplete` or `findings`. After a count of 1, nouns are singular.
    """
    counts = ", ".join(counted(audit.count(severity), severity.value) for severity in Severity)
    tasks, undecided = counted(audit.tasks, "task"), len(audit.undecided)
    return f"fpu-audit: {audit.verdict}: {counts} in {tasks}; {undecided} not decidable"


def audit_table(audit: Audit, reveal: bool, screen: Screen) -> str:
    """Return `audit` for people: a paragraph for each finding, then what memory cannot tell."""
    lines = [line for finding in audit.findings for line in _paragraph(finding, reveal, screen)]
    if audit.undecided:
        lines.append("What memory alone cannot tell:")
        lines += [line for text in _undecided(audit) for line in _wrapped(text, screen)]
    return "\n".join([*lines, summary(audit)])


def _paragraph(finding: Finding, reveal: bool, screen: Screen) -> list[str]:
    severity = paint(finding.severity.value, _COLOURS[finding.severity], screen.colour)
    of = f", {finding.component}" if finding.component else ""
    lines = [f"{severity} {finding.rule}: {finding.subject}{of}, at {finding.address:#x}"]
    for text in (f"{finding.read}.", f"{finding.why[0].upper()}{finding.why[1:]}."):
        lines += textwrap.wrap(text, _width(screen), initial_indent="  ", subsequent_indent="  ")
    if finding.evidence:
        lines.append(f"  bytes: {_evidence(finding.evidence, reveal)}")
    return [*lines, ""]


def _evidence(data: bytes, reveal: bool) -> str:
    """Return the bytes if `reveal`, else only their number, since the bytes may be secret."""
    if not reveal:
        return f"{len(data)}, not shown without --reveal"
    more = " ..." if len(data) > _EVIDENCE_SHOWN else ""
    return data[:_EVIDENCE_SHOWN].hex(" ") + more


def _undecided(audit: Audit) -> Iterator[str]:
    """Yield what is undecided; the same of several subjects once."""
    subjects: dict[tuple[str, str], list[str]] = {}
    for one in audit.undecided:
        subjects.setdefault((one.rule, one.why), []).append(one.subject)
    for (rule, why), found in subjects.items():
        more = f" and {len(found) - _SUBJECTS} more" if len(found) > _SUBJECTS else ""
        yield f"{rule}: {', '.join(found[:_SUBJECTS])}{more}: {why}."


def _wrapped(text: str, screen: Screen) -> list[str]:
    return textwrap.wrap(text, _width(screen), initial_indent="  ", subsequent_indent="    ")


def _width(screen: Screen) -> int:
    return min(_WIDTH, screen.width or _WIDTH)


def audit_json(audit: Audit, reveal: bool) -> dict[str, Any]:
    """Return `audit` in the form that `json.dumps` takes; docs/audit.md describes the keys."""
    return {
        "kernel": audit.kernel,
        "verdict": audit.verdict,
        "tasks": audit.tasks,
        "findings": [finding_json(finding, reveal) for finding in audit.findings],
        "undecided": [vars(one) for one in audit.undecided],
    }


def audit_sarif(audit: Audit, reveal: bool) -> dict[str, Any]:
    """Return `audit` as a SARIF 2.1.0 log of one run (OASIS, sections 3.13 to 3.27)."""
    driver = {
        "name": "gdbfpu",
        "version": gdbfpu.__version__,
        "rules": [
            {
                "id": rule.name,
                "shortDescription": {"text": rule.invariant},
                "properties": {"scope": rule.scope.value, "page": rule.page},
            }
            for rule in RULES
        ],
    }
    notifications = [
        {
            "level": "note",
            "message": {"text": f"{one.subject}: {one.why}"},
            "descriptor": {"id": one.rule},
        }
        for one in audit.undecided
    ]
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notifications}],
        "results": [_sarif_result(finding, reveal) for finding in audit.findings],
        "properties": {"kernel": audit.kernel, "tasks": audit.tasks, "verdict": audit.verdict},
    }
    return {"$schema": _SARIF, "version": "2.1.0", "runs": [run]}


def _sarif_result(finding: Finding, reveal: bool) -> dict[str, Any]:
    """Return `finding` as a SARIF result.

    SARIF has no negative addresses, so the kernel's addresses are written as unsigned numbers.
    """
    place = {
        "physicalLocation": {"address": {"absoluteAddress": finding.address}},
        "logicalLocations": [{"name": finding.subject, "kind": "process"}],
    }
    return {
        "ruleId": finding.rule,
        "ruleIndex": [rule.name for rule in RULES].index(finding.rule),
        "level": finding.severity.value,
        "message": {"text": f"{finding.subject}: {finding.read}. {finding.why}."},
        "locations": [place],
        "properties": finding_json(finding, reveal),
    }
