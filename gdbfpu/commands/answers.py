# SPDX-License-Identifier: GPL-2.0-or-later
"""Answer the commands of GDB and of the command line: from model and options to text."""

from __future__ import annotations

import json

from gdbfpu.commands.info_options import InfoOptions
from gdbfpu.commands.report_options import ReportOptions
from gdbfpu.commands.state_options import StateOptions
from gdbfpu.fpu.facts import facts
from gdbfpu.fpu.model import FpuModel
from gdbfpu.fpu.state import find_task, read_frame, read_state
from gdbfpu.fpu.state_text import diff_json, diff_table, state_json, state_raw, state_table
from gdbfpu.report.report import Report
from gdbfpu.report.text import report_csv, report_table
from gdbfpu.text.fit import Fit
from gdbfpu.text.screen import PLAIN, Screen
from gdbfpu.text.table import table
from gdbfpu.xsave.text import render_table, to_json

__all__ = ("frame_text", "info_text", "report_text", "state_text")


def info_text(model: FpuModel, build_id: str, options: InfoOptions, screen: Screen = PLAIN) -> str:
    """Return what `fpu-info` prints on `screen`; `build_id` is hex."""
    found = facts(model, build_id)
    if options.format == "json":
        return json.dumps({f.item: {"value": f.value, "from": f.source} for f in found})
    rows = [(fact.item, fact.value, fact.source) for fact in found]
    headers = ("item", "value", "read from")
    return table(rows, headers, (), screen, Fit(wrap=("value", "read from")))


def state_text(model: FpuModel, options: StateOptions, screen: Screen = PLAIN) -> str:
    """Return what `fpu-state` prints for a task; raise UsageError if the task has no state."""
    state = read_state(model, find_task(model, options.task, options.comm))
    names, as_json = options.components, options.format == "json"
    if options.diff:
        other = read_state(model, find_task(model, options.diff))
        if as_json:
            return json.dumps(diff_json(state, other, names))
        return diff_table(state, other, names, screen)
    if as_json:
        return json.dumps(state_json(state, names))
    return state_raw(state, names, screen) if options.raw else state_table(state, names, screen)


def frame_text(model: FpuModel, address: int, options: StateOptions, screen: Screen = PLAIN) -> str:
    """Return what `fpu-state --sigframe` prints for the frame at user `address`."""
    image = read_frame(model, address)
    if options.format == "json":
        return json.dumps(to_json(image, options.components))
    return render_table(image, options.components, screen=screen)


def report_text(report: Report, options: ReportOptions, screen: Screen) -> str:
    """Return what `fpu-report` prints on `screen` or writes for `report`."""
    if options.format == "json":
        return json.dumps(report.to_json(options.sort), indent=1)
    if options.format == "csv":
        return report_csv(report, options.by, options.sort).rstrip("\n")
    paper = PLAIN if options.out else screen
    return report_table(report, options.by, options.sort, paper, options.why)
