# SPDX-License-Identifier: GPL-2.0-or-later
"""gdbfpu for scripts in GDB's Python: `import gdbfpu` gives the names of this module.

docs/python.md shows how to use them. All of them raise GdbFpuError.
"""

from __future__ import annotations

from collections.abc import Iterator

import gdb

from gdbfpu.commands.trace_options import TraceOn, trace_parser
from gdbfpu.dbg.progress import Progress
from gdbfpu.dbg.session import Session, session
from gdbfpu.dbg.trace_command import begin, pass_here
from gdbfpu.errors import UsageError
from gdbfpu.fpu import state
from gdbfpu.fpu.state import TaskState
from gdbfpu.report.report import Report, collect
from gdbfpu.trace.event_file import Hit
from gdbfpu.trace.kept import Kept

__all__ = ("Trace", "read_report", "read_state", "start_trace")


class Trace:
    """A trace that is on. `probes` has a line about each probe, and about each left out.

    An iteration yields each hit once, in order. If there is none left, it lets the kernel run until
    it stops: at the limit, at the next hit if the option `stop` is on, or at a ^C. Used in a
    `with` statement, the trace ends with the statement.
    """

    def __init__(self, on: Session, kept: Kept, each: bool, probes: tuple[str, ...]) -> None:
        self.probes = probes
        self._session = on
        self._tracer = on.tracer
        self._kept = kept
        self._each = each  # the kernel stops at each hit

    @property
    def on(self) -> bool:
        """Return whether the probes of this trace are in the kernel."""
        return bool(self._session.breakpoints) and self._session.tracer is self._tracer

    @property
    def lost(self) -> int:
        """Return how many hits were not kept for the script, which took too few of them."""
        return self._kept.lost

    def hits(self) -> Iterator[Hit]:
        """Yield the hits that were recorded and not yielded yet. The kernel does not run."""
        while (hit := self._kept.take()) is not None:
            yield hit

    def __iter__(self) -> Iterator[Hit]:
        """Yield hits, and let the kernel run for more; raise gdb.error if it cannot run."""
        yield from self.hits()
        while self.on:
            gdb.execute("continue", False, True)
            found = tuple(self.hits())
            yield from found
            if not (found and self._each):
                return

    def stop(self) -> None:
        """Remove the probes from the kernel. Hits that were not yielded yet stay."""
        if self.on:
            self._session.off()

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_trace(options: TraceOn | None = None) -> Trace:
    """Plant the probes that `options` ask for, and return the trace, which is on.

    `options` are those of `fpu-trace on`; their defaults are those of TraceOn, whatever `set fpu`
    says. Raises UsageError if they make no sense or a trace is on already, GdbFpuError if there is
    no kernel or a probe cannot be planted. Nothing is left in the kernel then.
    """
    chosen = options if options is not None else TraceOn()
    words = trace_parser().verbs["on"].words("--state")
    if chosen.state not in words:
        raise UsageError(f"state: there is no {chosen.state!r}: choose from {', '.join(words)}")
    kept = Kept()
    probes = begin(session(), chosen, kept)
    pass_here(session())
    return Trace(session(), kept, chosen.stop, probes)


def read_state(who: int | str = "current", comm: str = "") -> TaskState:
    """Return the FPU state of a task of the stopped kernel, with its registers decoded.

    `who` is a pid, `current` for the task of the selected thread, or the address of a task_struct
    or struct fpu as text (`0x...`, as in a Hit). `comm` names the task instead. Raises UsageError
    if there is no such task, if there are several, or if it has no FPU state.
    """
    model = session().model
    return state.read_state(model, state.find_task(model, str(who), comm))


def read_report() -> Report:
    """Return the report on the stopped kernel's tasks, with the hits since `fpu-trace clear`."""
    known = session()
    return collect(known.looks, known.totals, Progress("tasks"))
