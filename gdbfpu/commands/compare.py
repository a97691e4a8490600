# SPDX-License-Identifier: GPL-2.0-or-later
"""`gdbfpu compare`: what changed between two event files."""

from __future__ import annotations

from gdbfpu.commands.compare_options import CompareOptions
from gdbfpu.commands.events import event_files
from gdbfpu.commands.filter_options import hit_filter
from gdbfpu.commands.output import standard_output
from gdbfpu.commands.streams import show
from gdbfpu.report.comparison import comparison_json, comparison_table
from gdbfpu.report.from_events import report_of_files
from gdbfpu.text.json_text import json_text

__all__ = ("compare",)


def compare(options: CompareOptions) -> int:
    """Print how the event files differ that `options` name; return the exit status.

    The status is 1 if lines cannot be read, which the text names. Raises UsageError.
    """
    chosen, screen = hit_filter(options), standard_output()
    with event_files((options.before, options.after)) as files:
        before, after = (report_of_files((lines,), chosen) for lines in files)
    if options.format == "json":
        show(json_text(comparison_json(before, after), screen, 1))
    else:
        show(comparison_table(before, after, screen))
    return int(bool(before.defects or after.defects))
