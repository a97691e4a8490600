# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the page of an event file: HTML in one file, which needs no network.

Names of the target are untrusted. The template escapes all text, and the page's policy
(Content-Security-Policy) lets no script run but its own, and nothing be loaded.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from gdbfpu import __version__
from gdbfpu.audit.rules import RULES
from gdbfpu.report.headline import headline
from gdbfpu.report.page.flame import flame
from gdbfpu.report.page.hits import PageHits
from gdbfpu.report.report import Report
from gdbfpu.report.text import remarks
from gdbfpu.text.counted import counted
from gdbfpu.trace.task_totals import TaskTotals
from gdbfpu.xsave import features

__all__ = ("render",)

_FILES = Path(__file__).parent
_MATRIX = 100  # tasks in the matrix: those with the most hits


def render(report: Report, hits: PageHits) -> str:
    """Return the page of `report`, whose event file has `hits`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(_FILES)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    script = _text("page.js")
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template("page.html")
    return page.render(
        version=__version__,
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        style=_text("page.css"),
        script=script,
        data=hits.to_json(),
        hits=hits,
        counted=counted,
        **_contents(report, hits),
    )


def _text(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")


def _contents(report: Report, hits: PageHits) -> dict[str, Any]:
    rows = [row for row in report.rows if row.count]
    frames = flame(hits.stacks.counts())
    return {
        "headline": headline(report),
        "report": report,
        "remarks": remarks(report),
        "began": _clock(hits.first_ns),
        "functions": report.functions(),
        "tasks": [_task(row, report.hits, hits.first_ns) for row in report.rows],
        "matrix": _matrix(rows),
        "frames": frames,
        "depth": 1 + max((frame.depth for frame in frames), default=0),
        "paths": report.paths,
        "invariants": {rule.name: rule.invariant for rule in RULES},
    }


def _task(row: TaskTotals, hits: int, began: int) -> dict[str, Any]:
    """Return what the report's table says of a task; there are `hits`, the first at `began`."""
    return {
        "row": row,
        "share": row.count / hits if hits else 0,
        "components": features.describe(row.components),
        "first": (row.first_ns - began) / 1e9 if row.first_ns else None,
        "last": (row.last_ns - began) / 1e9 if row.first_ns else None,
    }


def _matrix(rows: Sequence[TaskTotals]) -> dict[str, Any]:
    """Return the shares of each task's hits at which each component was in use."""
    most = sorted(rows, key=lambda row: -row.count)[:_MATRIX]
    seen = 0
    for row in most:
        seen |= row.components
    numbers = features.bits(seen)
    return {
        "components": [features.component_name(number) for number in numbers],
        "tasks": [
            (row, [row.with_component(number) / row.count for number in numbers]) for row in most
        ],
        "omitted": len(rows) - len(most),
    }


def _clock(time_ns: int) -> str:
    """Return a time as `2026-11-30 18:56:02 UTC`; empty for 0."""
    if not time_ns:
        return ""
    return f"{datetime.fromtimestamp(time_ns // 10**9, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
