# SPDX-License-Identifier: GPL-2.0-or-later
"""Sourced by GDB after gdbfpu: when a trace's first and last hits were, by its own totals."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import gdb


def _tasks() -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        gdb.execute(f"fpu-report --format json --out {folder}/report", to_string=True)
        report = json.loads(Path(folder, "report").read_text())
    return [task for task in report["tasks"] if task["first_ns"]]


def rate() -> None:
    """Print the hits per second."""
    tasks = _tasks()
    hits = sum(sum(task["hits"].values()) for task in tasks)
    seconds = max(t["last_ns"] for t in tasks) - min(t["first_ns"] for t in tasks)
    print("RATE", (hits - 1) / seconds * 1e9)


def first() -> None:
    """Print when the first hit was, in seconds since 1970."""
    print("FIRST", min(task["first_ns"] for task in _tasks()) / 1e9)
