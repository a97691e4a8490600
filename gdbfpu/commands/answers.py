# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands answer as text, in GDB and on the command line: model and options in, text out.

`arguments` are what the parsers of `gdbfpu.commands.options` return.
"""

from __future__ import annotations

import argparse
import json

from gdbfpu.commands.output import wants_colour
from gdbfpu.fpu.facts import facts
from gdbfpu.fpu.model import FpuModel
from gdbfpu.fpu.state import find_task, read_state
from gdbfpu.fpu.state_text import diff_json, diff_table, state_json, state_raw, state_table
from gdbfpu.report.report import Report
from gdbfpu.report.text import csv_report, table_report
from gdbfpu.text.table import table

__all__ = ("info_text", "report_text", "state_text")


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
