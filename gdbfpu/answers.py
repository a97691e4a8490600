# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands answer as text, in GDB and on the command line: model and options in, text out.

`arguments` are what the parsers of `gdbfpu.options` return.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from gdbfpu import debuginfo, fpu
from gdbfpu.errors import UsageError
from gdbfpu.fpu import FpuModel
from gdbfpu.info import facts
from gdbfpu.kernel import Kernel
from gdbfpu.layoutcache import Question
from gdbfpu.report import Report
from gdbfpu.state import find_task, read_state
from gdbfpu.statetext import diff_json, diff_table, state_json, state_raw, state_table
from gdbfpu.tables import csv_report, table, table_report
from gdbfpu.target import Target
from gdbfpu.wanted import ANCHORS, TYPES

__all__ = ("info_text", "read_model", "report_text", "state_text", "wants_colour", "write_new")


def read_model(
    target: Target, vmlinux: Path, build_id: str, progress: debuginfo.Progress
) -> FpuModel:
    """Return the FPU model of the kernel behind `target`, which `vmlinux` describes.

    `build_id` (hex) is what `identity.verify` returned, `progress` is told of the bytes of BTF
    read from memory. Raises GdbFpuError.
    """
    question = Question(build_id, TYPES, ANCHORS)
    return fpu.probe(Kernel(target, debuginfo.read_layouts(target, vmlinux, question, progress)))


def info_text(model: FpuModel, build_id: str, arguments: argparse.Namespace) -> str:
    """Return what `fpu-info` prints; `build_id` is hex."""
    found = facts(model, build_id)
    if arguments.format == "json":
        return json.dumps({f.item: {"value": f.value, "from": f.source} for f in found})
    rows = [(fact.item, fact.value, fact.source) for fact in found]
    return table(rows, ("item", "value", "read from"))


def state_text(model: FpuModel, arguments: argparse.Namespace) -> str:
    """Return what `fpu-state` prints of a task; raise UsageError for one that has no state."""
    state = read_state(model, find_task(model, arguments.task, arguments.comm))
    names, as_json = arguments.components, arguments.format == "json"
    if arguments.diff:
        other = read_state(model, find_task(model, arguments.diff))
        if as_json:
            return json.dumps(diff_json(state, other, names))
        return diff_table(state, other, names)
    if as_json:
        return json.dumps(state_json(state, names))
    return state_raw(state, names) if arguments.raw else state_table(state, names)


def report_text(report: Report, arguments: argparse.Namespace) -> str:
    """Return what `fpu-report` prints or writes of `report`, coloured on a terminal only."""
    if arguments.format == "json":
        return json.dumps(report.to_json(arguments.sort), indent=1)
    if arguments.format == "csv":
        return csv_report(report, arguments.by, arguments.sort).rstrip("\n")
    return table_report(report, arguments.by, arguments.sort, wants_colour(arguments))


def wants_colour(arguments: argparse.Namespace) -> bool:
    """Return whether a text goes to a terminal, and to one that is to be coloured (NO_COLOR)."""
    return not arguments.out and os.isatty(1) and "NO_COLOR" not in os.environ


def write_new(name: str, text: str) -> None:
    """Write `text` and a newline to the new file `name`; raise UsageError if it cannot be."""
    path = Path(name).expanduser()
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text + "\n")
    except FileExistsError as error:
        raise UsageError(f"{path} exists already: name a new file or remove it") from error
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
