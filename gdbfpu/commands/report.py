# SPDX-License-Identifier: GPL-2.0-or-later
"""Answer `fpu-report` and `gdbfpu report`: from a report and options to text."""

from __future__ import annotations

from gdbfpu.commands.report_options import ReportOptions
from gdbfpu.report.report import Report
from gdbfpu.report.text import report_csv, report_table
from gdbfpu.text.json_text import json_text
from gdbfpu.text.screen import PLAIN, Screen

__all__ = ("report_text",)


def report_text(report: Report, options: ReportOptions, screen: Screen) -> str:
    """Return the text of `report` that `fpu-report` prints on `screen` or writes to a file."""
    paper = PLAIN if options.out else screen
    if options.format == "json":
        return json_text(report.to_json(options.sort), paper, 1)
    if options.format == "csv":
        return report_csv(report, options.by, options.sort).rstrip("\n")
    return report_table(report, options.by, options.sort, paper, options.why)
