# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of gdbfpu in this GDB: the kernel it knows, the trace that is on, the totals."""

from __future__ import annotations

import contextlib
import functools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gdb

from gdbfpu.dbg.attached import Attached
from gdbfpu.dbg.breakpoints import ProbeBreakpoint
from gdbfpu.dbg.conditions import warn_of_conditions
from gdbfpu.dbg.counters import set_counters
from gdbfpu.dbg.interruptible import uninterrupted
from gdbfpu.dbg.live import Live
from gdbfpu.dbg.planting import Plan, plant, sites
from gdbfpu.dbg.point import Point
from gdbfpu.dbg.settings import Settings
from gdbfpu.dbg.settling import OFF, drain, hook_detach, run_to_tick
from gdbfpu.dbg.stops import reason
from gdbfpu.dbg.terminal import say
from gdbfpu.errors import GdbFpuError, UsageError
from gdbfpu.kernel.kgdb import waiting_cpus
from gdbfpu.trace.entries import Caught
from gdbfpu.trace.event_file import EventWriter, header
from gdbfpu.trace.kept import Kept
from gdbfpu.trace.tracer import Options, Tracer

if TYPE_CHECKING:
    from gdbfpu.dbg.fast_trace import FastTrace
    from gdbfpu.fast.options import Recording

__all__ = ("Session", "session")

_LATER = "`fpu-trace off` in a new GDB restores the kernel"


class Session(Attached):
    """What the commands work on. There is one: `session` returns it."""

    def __init__(self) -> None:
        super().__init__()
        self.tracer: Tracer | None = None
        self.live: Live | None = None  # the table of `fpu-trace on --top`
        self.breakpoints: list[Point] = []
        self.fast: FastTrace | None = None  # the trace that the kernel records itself
        self._settings = Settings()
        self._draining = self.gone = False
        self._spent: list[Point] = []  # of an ended trace, at a hit of which the kernel was lost
        self._unsettled = False  # over KGDB: the kernel has not run since its probes were removed
        gdb.events.cont.connect(self._resumed)
        gdb.events.breakpoint_created.connect(self._breakpoint)
        gdb.events.breakpoint_modified.connect(self._breakpoint)
        if hasattr(gdb.events, "gdb_exiting"):  # since GDB 12; before, GDB removes breakpoints then
            gdb.events.gdb_exiting.connect(lambda _: self._leave())
        # Not at `connection_removed`, when GDB still takes the breakpoints for inserted.
        gdb.events.exited.connect(self._connection_ended)
        gdb.events.new_objfile.connect(self._connection_ended)

    def on(
        self, options: Options, plan: Plan, out: Path | None, kept: Kept | None = None
    ) -> tuple[str, ...]:
        """Plant the probes of `plan` at their functions' addresses; return a line about each.

        The hits go to `out`, an event file, and to `kept`. After an error, no probe is left.
        """
        target, tracer = self.target, self._new_tracer(options, kept)
        chosen, left_out = sites(target, plan, self.model.kernel)
        with contextlib.ExitStack() as undo:
            points = []
            for point in plant(target, chosen, tracer, self):
                points.append(point)
                undo.callback(point.delete)
                if options.condition and isinstance(point, ProbeBreakpoint):
                    point.check(options.condition)
            self._prepare(tracer, out, undo, fast=False)
            undo.pop_all()
        self.breakpoints = points
        self._begun(tracer)
        return (*left_out, *(point.describe() for point in points if point.enabled))

    def on_fast(
        self,
        options: Options,
        plan: Plan,
        recording: Recording,
        out: Path | None,
        kept: Kept | None = None,
    ) -> tuple[str, ...]:
        """Have the kernel record the probes of `plan` itself; return a line about each."""
        from gdbfpu.dbg.fast_begin import begin_fast  # imports capstone, which is slow

        tracer = self._new_tracer(options, kept)
        with contextlib.ExitStack() as undo:
            self._prepare(tracer, out, undo, fast=True)
            fast, left_out = begin_fast(self.target, tracer, plan, recording, self, self.build_id)
            undo.pop_all()
        self.fast = fast
        self._begun(tracer)
        return (*left_out, *fast.describe())

    def _new_tracer(self, options: Options, kept: Kept | None) -> Tracer:
        """Return the tracer of a new trace, which tells its hits to `kept`, too."""
        if self.tracing:
            raise UsageError("tracing is on already: say `fpu-trace off` first")
        if not self.target.stub.runs:
            raise UsageError("there is nothing to trace: this is a memory dump")
        self.model.kernel.current()
        tracer = Tracer(self.looks, options, self.totals, None)
        tracer.kept = kept
        return tracer

    def _prepare(
        self, tracer: Tracer, out: Path | None, undo: contextlib.ExitStack, *, fast: bool
    ) -> None:
        """Change GDB's settings for the trace and begin the event file `out`; `undo` undoes it."""
        undo.callback(self._settings.restore)
        self._settings.change(self.target.stub, tracer.options.backtrace)
        if out is not None:
            tracer.writer = EventWriter(out, header(self.model, self.build_id, fast=fast))
            undo.callback(out.unlink)
            undo.callback(tracer.close)

    def _begun(self, tracer: Tracer) -> None:
        self.tracer = tracer
        gdb.events.stop.connect(self._stopped)
        hook_detach(OFF)

    @property
    def tracing(self) -> bool:
        """Return whether a trace is on."""
        return bool(self.breakpoints) or self.fast is not None

    @property
    def _points(self) -> list[Point]:
        return [*self.breakpoints, *(self.fast.points if self.fast is not None else ())]

    def collect(self) -> None:
        """Take what the kernel itself has recorded; a ^C leaves the rest for later."""
        if self.fast is not None and not self._draining:
            self.fast.collect()
            set_counters(self.totals.hits, self.totals.failed)

    def off(self) -> bool:
        """Remove every probe from the kernel and end the event file; return whether tracing was on.

        Over KGDB, this first takes the hits that other CPUs wait to report, and at the end lets the
        kernel run for a moment, so that the debugger can then detach safely.
        """
        self._end_live()  # while it drains, the kernel runs only for gdbfpu
        if self.fast is not None:
            return self._off_fast(self.fast)
        if self.breakpoints and self._model is not None:
            self._draining = True
            drain(self._model.kernel)
            self._draining = False
        was_on = self._remove()
        if self._unsettled and self._target is not None and self._model is not None:
            run_to_tick(self._target, self, self._model.kernel)
            self._resumed(None)
        return was_on

    def _leave(self) -> None:
        """Turn tracing off because GDB ends."""
        try:
            self.off()
        except GdbFpuError as error:
            say(f"fpu-trace: {error}; {_LATER}")

    def _off_fast(self, fast: FastTrace) -> bool:
        """Restore the kernel's text; if that fails, the trace stays on."""
        self._draining = True
        try:
            fast.end()
        finally:
            self._draining = False
        self._remove()
        self._resumed(None)
        return True

    def _remove(self) -> bool:
        """Delete the probes and end the event file; return whether a trace was on."""
        self._end_live()
        was_on, points = self.tracing, (*self._spent, *self._points)
        self._spent = [point for point in points if not point.remove()]
        self.breakpoints = []
        self.fast = None
        if was_on:
            gdb.events.stop.disconnect(self._stopped)
            self._settings.restore()
            self._unsettled = self._target is not None and self._target.stub.in_kernel
            if not self._unsettled:
                hook_detach("")
        if self.tracer is not None:
            self.tracer.close()
        return was_on

    def _end_live(self) -> None:
        if self.live is not None:
            self.live.stopped(self.totals)
            self.live = None

    def _resumed(self, _event: Any) -> None:
        """Note that the kernel runs again: without probes, it soon has no pending hits."""
        if self.fast is not None:
            self.fast.clock.resumed(time.time_ns())
        if self._unsettled and not self.tracing:
            self._unsettled = False
            hook_detach("")

    def clear(self) -> None:
        """Forget all totals; a trace that is on counts from zero again."""
        self._begin_totals()
        if self.tracer is not None:
            self.tracer.totals = self.totals
        if self.live is not None:
            self.live.clear()

    def enough(self) -> bool:
        """Return whether the kernel must stay stopped: never while a CPU waits to report a hit."""
        if self._model is None or self.tracer is None:
            return False
        wanted = self.tracer.full or self._draining
        return wanted and not waiting_cpus(self._model.kernel)

    def passed(self, caught: Caught | None) -> None:
        """Note that the kernel passes a probe; `caught` is the hit, None if none was recorded."""
        set_counters(self.totals.hits, self.totals.failed)
        if self.live is not None:
            self.live.passed(caught, self.totals)

    def over(self) -> bool:
        """Take note that a hit has been handled; return whether the kernel is gone since."""
        gone, self.gone = self.gone, False
        if gone:
            self._lost()
        return gone

    def failed(self, reason: str) -> None:
        """Count a hit that could not be recorded or resumed for `reason`."""
        self.totals.fail(reason)
        set_counters(self.totals.hits, self.totals.failed)

    def _stopped(self, event: Any) -> None:
        """Say why the kernel stopped, and end a trace that is full.

        The reason comes first: at the end of the trace, GDB's pager is on again, and may ask for a
        key before it shows a line.
        """
        if self._draining or not self.tracing or self.tracer is None:
            return
        if self.fast is not None:
            self._collect_at_stop()
        with uninterrupted():
            if self.live is not None:
                self.live.stopped(self.totals)
            if why := reason(event, self.tracer, self.fast is not None):
                say(f"fpu-trace: {why}")
            if self.tracer.full and self.fast is not None:
                self.fast.drop_point()
            elif self.tracer.full:
                self._remove()

    def _collect_at_stop(self) -> None:
        try:
            self.collect()
        except KeyboardInterrupt:
            say("fpu-trace: interrupted; the kernel keeps the rest of its records")
        except GdbFpuError as error:
            say(f"fpu-trace: {error}")

    def _breakpoint(self, point: Any) -> None:
        if self._model is not None:
            warn_of_conditions([point], self._model.kernel)

    def _connection_ended(self, event: Any) -> None:
        if not hasattr(event, "new_objfile"):
            self.gone = any(point.handled for point in self._points)
            if not self.gone:  # else the present hit comes to its end first
                self._lost()
        self._resumed(event)  # the pending hits have ended with the connection
        self._forget()

    def _lost(self) -> None:
        fast = self.fast is not None
        if self._remove():
            left = f"; if it still runs, {_LATER}" if fast else ""
            say(f"fpu-trace: the kernel is gone; tracing is off{left}")


@functools.cache
def session() -> Session:
    """Return the session of this GDB. The first call creates it."""
    return Session()
