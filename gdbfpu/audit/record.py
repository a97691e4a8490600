# SPDX-License-Identifier: GPL-2.0-or-later
"""What an audit leaves in a trace: in the totals of a task, as a line, as an object."""

from __future__ import annotations

import time
from typing import Any

from gdbfpu.audit.finding import finding_json
from gdbfpu.audit.watch import Returned

__all__ = ("returned_json", "returned_lines")


def returned_json(returned: Returned) -> dict[str, Any]:
    """Return the object of an audited call's line in the event file; keys as docs/data.md has them.

    The bytes of a finding are left out: they may be somebody's secret.
    """
    return {
        "of": returned.of,
        "time_ns": time.time_ns(),
        "function": returned.function,
        "pid": returned.task.pid,
        "findings": [finding_json(finding, reveal=False) for finding in returned.findings],
        "undecided": [f"{one.rule}: {one.why}" for one in returned.undecided],
        "cleaned": dict(returned.cleaned),
        "left": dict(returned.left),
    }


def returned_lines(returned: Returned) -> tuple[str, ...]:
    """Return a line for each finding of a call, and for what the sanitizer made clean."""
    lines = [
        f"       {finding.severity.value} {finding.rule}: {finding.subject}: {finding.read}"
        for finding in returned.findings
    ]
    if returned.cleaned:
        clean = ", ".join(f"{name} {count} bytes" for name, count in returned.cleaned.items())
        lines.append(f"       made clean: {clean} (hit {returned.of})")
    return tuple(lines)
