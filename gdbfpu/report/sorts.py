# SPDX-License-Identifier: GPL-2.0-or-later
"""The orders of a report's tasks. A parser of options can import them without the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from gdbfpu.trace.task_totals import TaskTotals

__all__ = ("SORTS",)

SORTS: dict[str, Callable[[TaskTotals], Any]] = {
    "hits": lambda row: -row.count,
    "pid": lambda row: row.pid,
    "name": lambda row: row.comm.lower(),
    "thread": lambda row: (row.thread is None, row.thread),
    "cpu": lambda row: row.cpu,
    "first": lambda row: row.first_ns,
    "last": lambda row: row.last_ns,
    "tgid": lambda row: row.tgid,
    "components": lambda row: -row.components,
    "live": lambda row: -row.live_hits,
    "memory": lambda row: -row.memory_hits,
    "findings": lambda row: -sum(row.findings.values()),
}
"""Sort keys by the name that `--sort` takes: a column's name in lower case."""
