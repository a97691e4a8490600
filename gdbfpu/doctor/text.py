# SPDX-License-Identifier: GPL-2.0-or-later
"""Write findings for people, and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from gdbfpu.doctor.finding import Finding, Verdict
from gdbfpu.text.counted import counted
from gdbfpu.text.json_text import json_text
from gdbfpu.text.screen import Screen
from gdbfpu.text.table import paint

__all__ = ("findings_json", "findings_text", "has_trouble")

_WIDTH = 80  # columns, for a screen of any width and for none
_VERDICT = max(len(verdict.value) for verdict in Verdict) + 2  # columns
_COLOURS = {Verdict.TROUBLE: "red", Verdict.LIMITED: "yellow", Verdict.FINE: "green"}


def has_trouble(findings: Sequence[Finding]) -> bool:
    """Return whether one of the findings is trouble."""
    return any(found.verdict is Verdict.TROUBLE for found in findings)


def findings_json(findings: Sequence[Finding], screen: Screen) -> str:
    """Return the findings as one object; docs/doctor.md describes it."""
    rows = [
        {"check": f.check, "verdict": f.verdict.value, "seen": f.seen, "mend": list(f.mend)}
        for f in findings
    ]
    return json_text({"trouble": has_trouble(findings), "findings": rows}, screen, indent=1)


def findings_text(findings: Sequence[Finding], screen: Screen) -> str:
    """Return the findings as lines of at most 80 columns, but for what is to be typed.

    Checks that could not look for the same reason share a line.
    """
    width = min(screen.width or _WIDTH, _WIDTH)
    lines = [line for found in _joined(findings) for line in _lines(found, width, screen.colour)]
    return "\n".join([*lines, _summary(findings)])


def _joined(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Yield the findings, those with the same reason why nothing can be told as one."""
    checks: dict[Finding, list[str]] = {}
    for found in findings:
        checks.setdefault(found._replace(check=_key(found)), []).append(found.check)
    for found, names in checks.items():
        yield found._replace(check=", ".join(names))


def _key(found: Finding) -> str:
    """Return what a finding shares its line with: nothing, unless it tells of no look."""
    alone = found.verdict not in (Verdict.UNKNOWN, Verdict.NOT_APPLICABLE)
    return found.check if alone else ""


def _lines(found: Finding, width: int, colour: bool) -> Iterator[str]:
    verdict, room = found.verdict.value, width - _VERDICT
    text = f"{found.check}: {found.seen}"
    first, *rest = textwrap.wrap(text, room, break_on_hyphens=False, break_long_words=False)
    shown = paint(verdict, _COLOURS.get(found.verdict, "bold"), colour)
    yield f"{shown}{' ' * (_VERDICT - len(verdict))}{first}"
    for line in (*rest, *(f"  {mend}" for mend in found.mend)):
        yield f"{' ' * _VERDICT}{line}"


def _summary(findings: Sequence[Finding]) -> str:
    counts = [sum(found.verdict is verdict for found in findings) for verdict in Verdict]
    words = [f"{n} {verdict.value}" for n, verdict in zip(counts, Verdict) if n]
    return f"{counted(len(findings), 'check')}: {', '.join(words)}"
