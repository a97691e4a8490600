# SPDX-License-Identifier: GPL-2.0-or-later
"""`gdbfpu export`: write an event file in another form, in memory that does not grow with it."""

from __future__ import annotations

from typing import Any, Callable, Protocol

from gdbfpu.commands.events import event_lines, tell_defects
from gdbfpu.commands.export_options import ExportOptions
from gdbfpu.commands.filter_options import hit_filter
from gdbfpu.commands.output import output
from gdbfpu.commands.streams import show
from gdbfpu.report.event_filter import HitFilter
from gdbfpu.report.event_hits import EventHit, HitReader, is_hit
from gdbfpu.report.event_lines import EventLines
from gdbfpu.report.folded import Folded
from gdbfpu.report.from_events import report_of_files
from gdbfpu.report.hits_csv import HitsCsv
from gdbfpu.report.markdown import report_markdown
from gdbfpu.report.page.hits import PageHits
from gdbfpu.report.page.render import render
from gdbfpu.report.perfetto import Perfetto

__all__ = ("export",)

_BATCH = 1 << 16  # characters that are written together

_Put = Callable[[str], object]


class _Writer(Protocol):
    def add(self, event: dict[str, Any], hit: EventHit) -> None: ...
    def end(self) -> None: ...


def export(options: ExportOptions) -> int:
    """Write the event file that `options` name; return the exit status.

    The status is 1 if lines of the file cannot be read; standard error says which. Raises
    UsageError.
    """
    with output(options.out, show) as put, event_lines(options.file) as lines:
        chosen = hit_filter(options)
        if options.to == "markdown":
            put(report_markdown(report_of_files((lines,), chosen)))
        elif options.to == "html":
            put(_page(lines, chosen))
        else:
            batch = _Batch(put)
            _write(lines, chosen, _WRITERS[options.to](batch.add, lines, options))
            batch.flush()
    return tell_defects(lines)


def _page(lines: EventLines, chosen: HitFilter | None) -> str:
    hits = PageHits(lines.header)
    return render(report_of_files((lines,), chosen, hits), hits)


def _write(lines: EventLines, chosen: HitFilter | None, writer: _Writer) -> None:
    reader = HitReader()

    def take(event: dict[str, Any]) -> None:
        if is_hit(event):
            hit = reader.read(event)
            if chosen is None or chosen.wants(hit):
                writer.add(event, hit)

    lines.each(take)
    writer.end()


_WRITERS: dict[str, Callable[[_Put, EventLines, ExportOptions], _Writer]] = {
    "csv": lambda put, _lines, _options: HitsCsv(put),
    "folded": lambda put, _lines, options: Folded(put, options.root),
    "perfetto": lambda put, lines, _options: Perfetto(put, lines.header),
}


class _Batch:
    """Collects lines, and writes many of them together with `put`."""

    def __init__(self, put: _Put) -> None:
        self._put, self._lines, self._size = put, list[str](), 0

    def add(self, line: str) -> None:
        """Write `line` now or later."""
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write all lines that were not written yet."""
        if self._lines:
            self._put("\n".join(self._lines))
        self._lines.clear()
        self._size = 0
