# SPDX-License-Identifier: GPL-2.0-or-later
"""Open the event files that a command of the command line names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gdbfpu.commands.streams import remark, standard_input
from gdbfpu.commands.values import STANDARD_INPUT
from gdbfpu.report.event_lines import EventLines, open_events
from gdbfpu.text.progress import Progress

__all__ = ("event_files", "event_lines", "tell_defects")


@contextmanager
def event_lines(file: Path) -> Iterator[EventLines]:
    """Yield the lines of the event file `file`, or of standard input; raise UsageError."""
    if file == STANDARD_INPUT:
        name = "standard input"
        yield EventLines(standard_input(), name, Progress(f"lines of {name}", remark))
        return
    with open_events(file, Progress(f"lines of {file}", remark)) as lines:
        yield lines


@contextmanager
def event_files(files: Sequence[Path]) -> Iterator[tuple[EventLines, ...]]:
    """Yield the lines of each of the event `files`; raise UsageError."""
    with ExitStack() as stack:
        yield tuple(stack.enter_context(event_lines(file)) for file in files)


def tell_defects(lines: EventLines) -> int:
    """Say on standard error which lines could not be read; return the exit status: 1 if any."""
    for defect in lines.defects():
        remark(f"gdbfpu: incomplete: {defect}")
    return int(bool(lines.defects()))
