# SPDX-License-Identifier: GPL-2.0-or-later
"""Show an audited call of a trace: as an object of the event file, and as lines."""

from __future__ import annotations

import time
from typing import Any

from gdbfpu.audit.finding import finding_json
from gdbfpu.audit.watch import Returned

__all__ = ("returned_json", "returned_lines")


def returned_json(returned: Returned) -> dict[str, Any]:
    """Return the object for an audited call in the event file; docs/data.md describes the keys.

    The object leaves out the bytes of the findings, which may be secret.
    """
    return {
        "of": returned.hit,
        "time_ns": time.time_ns(),
        "function": returned.function,
        "pid": returned.task.pid,
        "findings": [finding_json(finding, reveal=False) for finding in returned.findings],
        "undecided": [f"{one.rule}: {one.why}" for one in returned.undecided],
        "cleaned": dict(returned.cleaned),
        "left": dict(returned.left),
    }


def returned_lines(returned: Returned) -> tuple[str, ...]:
    """Return a line for each finding of a call, and one for what the sanitizer cleaned."""
    lines = [
        f"       {finding.severity.value} {finding.rule}: {finding.subject}: {finding.read}"
        for finding in returned.findings
    ]
    if returned.cleaned:
        clean = ", ".join(f"{name} {count} bytes" for name, count in returned.cleaned.items())
        lines.append(f"       made clean: {clean} (hit {returned.hit})")
    return tuple(lines)
