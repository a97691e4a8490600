# SPDX-License-Identifier: GPL-2.0-or-later
"""`gdbfpu show` and `gdbfpu diff`: single hits of an event file."""

from __future__ import annotations

from typing import Any, Callable

from gdbfpu.commands.events import event_lines, tell_defects
from gdbfpu.commands.output import standard_output
from gdbfpu.commands.show_options import DiffOptions, ShowOptions
from gdbfpu.commands.streams import show
from gdbfpu.errors import UsageError
from gdbfpu.report.event_hits import is_hit
from gdbfpu.report.event_lines import EventLines
from gdbfpu.report.hit_page import hit_heading, hit_json, hit_page
from gdbfpu.report.whole_hit import WholeHit, WholeHits, numbered_hits
from gdbfpu.text.counted import counted
from gdbfpu.text.json_text import json_text
from gdbfpu.xsave.differences import difference_table

__all__ = ("diff_hits", "show_hit")


def show_hit(options: ShowOptions) -> int:
    """Print the hit that `options` name; return the exit status. Raises UsageError."""
    with event_lines(options.file) as lines:
        (one,) = numbered_hits(lines, (options.hit,))
    screen, as_json = standard_output(), options.format == "json"
    show(json_text(hit_json(one), screen, 1) if as_json else hit_page(one, screen))
    return tell_defects(lines)


def diff_hits(options: DiffOptions) -> int:
    """Print what differs between the hits that `options` name; return the exit status.

    Raises UsageError.
    """
    with event_lines(options.file) as lines:
        if options.task is not None:
            _diff_task(lines, options.task, _shower(options))
        elif options.one is None or options.other is None:
            raise UsageError("give the numbers of two hits, or --task PID")
        else:
            _shower(options)(*numbered_hits(lines, (options.one, options.other)))
    return tell_defects(lines)


def _diff_task(lines: EventLines, pid: int, put: Callable[[WholeHit, WholeHit], None]) -> None:
    """Call `put` with each two hits of the task `pid` that follow each other."""
    reader, before, count = WholeHits(lines.header), None, 0

    def take(event: dict[str, Any]) -> None:
        nonlocal before, count
        if is_hit(event) and event["pid"] == pid:
            hit = reader.read(event)
            count += 1
            if before is not None:
                put(before, hit)
            before = hit

    lines.each(take)
    if count < 2:
        raise UsageError(f"{lines.name} has {counted(count, 'hit')} of pid {pid}: two are needed")


def _shower(options: DiffOptions) -> Callable[[WholeHit, WholeHit], None]:
    """Return a function that prints how two hits differ."""
    screen = standard_output()

    def put(one: WholeHit, other: WholeHit) -> None:
        names = [f"hit {each.seq}" for each in (one, other)]
        images = one.registers, other.registers
        changes = difference_table(*images, names, options.components, screen)
        show(f"{hit_heading(one)}\n{hit_heading(other)}\n\n{changes}\n")

    return put
