# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of gdbfpu in this GDB: the kernel it knows, the probes it has planted, the totals.

What we know of a kernel is valid until the connection to it ends. The totals are valid until
`fpu-trace clear`, or until GDB is attached to another kernel.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gdb

from gdbfpu.commands.model import read_model
from gdbfpu.dbg.breakpoints import ProbeBreakpoint
from gdbfpu.dbg.conditions import warn_of_conditions
from gdbfpu.dbg.counters import set_counters
from gdbfpu.dbg.debug_files import debug_helpers, kernel_file
from gdbfpu.dbg.interruptible import uninterrupted
from gdbfpu.dbg.live import Live
from gdbfpu.dbg.placing import place_symbols
from gdbfpu.dbg.planting import Plan, plant, sites
from gdbfpu.dbg.point import Point
from gdbfpu.dbg.progress import Progress
from gdbfpu.dbg.settings import Settings
from gdbfpu.dbg.settling import OFF, hook_detach, run_to_tick
from gdbfpu.dbg.stops import reason
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.dbg.terminal import say
from gdbfpu.errors import GdbFpuError, UsageError
from gdbfpu.fpu.looks import Looks
from gdbfpu.fpu.model import FpuModel
from gdbfpu.kernel import identity
from gdbfpu.kernel.kgdb import waiting_cpus
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.trace.entries import Caught
from gdbfpu.trace.event_file import EventWriter, header
from gdbfpu.trace.kept import Kept
from gdbfpu.trace.totals import Totals
from gdbfpu.trace.tracer import Options, Tracer

__all__ = ("Session", "session")

_MOST_DRAINED = 1000  # the most pending hits to take before the probes are removed


class Session:
    """What the commands work on. There is only one session: `session` returns it."""

    def __init__(self) -> None:
        self._totals = Totals()
        self.tracer: Tracer | None = None
        self.live: Live | None = None  # the table of `fpu-trace on --top`
        self.breakpoints: list[Point] = []
        self.build_id = ""
        self._known = ""  # the kernel whose totals these are: its build-id, or its banner
        self._target: GdbTarget | None = None
        self._model: FpuModel | None = None
        self._looks: Looks | None = None
        self._settings = Settings()
        self._draining = False
        self._unsettled = False  # over KGDB: the kernel has not run since its probes were removed
        gdb.events.cont.connect(self._resumed)
        gdb.events.breakpoint_created.connect(self._breakpoint)
        gdb.events.breakpoint_modified.connect(self._breakpoint)
        # The event exists since GDB 12. Earlier ones remove breakpoints themselves when they exit.
        if hasattr(gdb.events, "gdb_exiting"):
            gdb.events.gdb_exiting.connect(lambda _: self.off())
        for name in ("connection_removed", "exited", "new_objfile"):
            if hasattr(gdb.events, name):  # connection_removed exists since GDB 11
                getattr(gdb.events, name).connect(self._connection_ended)

    @property
    def totals(self) -> Totals:
        """Return the totals of this kernel's traces since the last `fpu-trace clear`."""
        return self._totals

    def _begin_totals(self) -> None:
        self._totals = Totals()
        set_counters(0, 0)

    @property
    def target(self) -> GdbTarget:
        """Return the stopped kernel's target; raise GdbFpuError when there is none."""
        thread = gdb.selected_thread()
        if thread is None or not thread.is_valid():
            raise GdbFpuError("no kernel to look at: attach first (`target remote SOCKET`)")
        try:  # is_running() is of no use: it is true while GDB tests a breakpoint's condition
            architecture = gdb.newest_frame().architecture().name()
        except gdb.error as error:
            raise GdbFpuError("the kernel is running: interrupt it first (^C)") from error
        if architecture != "i386:x86-64":
            raise GdbFpuError(
                f"GDB takes the CPU for {architecture}: say `set architecture i386:x86-64`, "
                "or attach when the CPU is in 64-bit mode"
            )
        if self._target is None:
            self._target = GdbTarget()
        return self._target

    @property
    def model(self) -> FpuModel:
        """Return the FPU model of the kernel that GDB is attached to, probed when first needed."""
        target = self.target
        if self._model is None:
            self._model = self._probe(target)
        return self._model

    @property
    def known_kernel(self) -> Kernel | None:
        """Return the kernel if its model is known already."""
        return self._model.kernel if self._model is not None else None

    @property
    def looks(self) -> Looks:
        """Return the Looks of `model`, which keeps what it has learned about the machine."""
        model = self.model
        if self._looks is None or self._looks.model is not model:
            self._looks = Looks(model)
        return self._looks

    def _probe(self, target: GdbTarget) -> FpuModel:
        """Return the model of `target`, and begin new totals if it is another kernel."""
        self.place_symbols(say)
        vmlinux = kernel_file()
        build_id = identity.verify(target, vmlinux)
        progress = Progress("bytes of BTF")
        model = read_model(target, vmlinux, build_id, progress, debug_helpers(vmlinux))
        known = build_id or model.kernel.banner()
        if known != self._known:
            self._known, self.build_id = known, build_id
            self._begin_totals()
        warn_of_conditions(gdb.breakpoints(), model.kernel)
        return model

    def place_symbols(self, note: Callable[[str], object]) -> int | None:
        """Move GDB's symbols to where the kernel is; see place_symbols()."""
        target = self.target
        slide = place_symbols(target, kernel_file(), note)
        self._target = target  # new_objfile has reset it
        return slide

    def on(
        self, options: Options, plan: Plan, out: Path | None, kept: Kept | None = None
    ) -> tuple[str, ...]:
        """Plant the probes of `plan` at their functions' addresses; return a line about each.

        The hits go to the event file `out` and to `kept`. If anything that is needed is missing, no
        probe is left in the kernel.
        """
        if self.breakpoints:
            raise UsageError("tracing is on already: say `fpu-trace off` first")
        if not self.target.stub.runs:
            raise UsageError("there is nothing to trace: this is a memory dump")
        model, target = self.model, self.target
        model.kernel.current()
        tracer = Tracer(self.looks, options, self.totals, None)
        tracer.kept = kept
        chosen, left_out = sites(target, plan, len(model.kernel.online_cpus()))
        with contextlib.ExitStack() as undo:
            points = []
            for point in plant(target, chosen, tracer, self):
                points.append(point)
                undo.callback(point.delete)
                if options.condition and isinstance(point, ProbeBreakpoint):
                    point.check(options.condition)
            undo.callback(self._settings.restore)
            self._settings.change(target.stub, options.backtrace)
            tracer.writer = EventWriter(out, header(model, self.build_id)) if out else None
            undo.pop_all()
        self.tracer = tracer
        self.breakpoints = points
        gdb.events.stop.connect(self._stopped)
        hook_detach(OFF)
        described = (point.describe() for point in self.breakpoints if point.enabled)
        return (*left_out, *described)

    def off(self) -> bool:
        """Remove every probe from the kernel and end the event file; return whether tracing was on.

        Over KGDB, this first takes the hits that other CPUs wait to report. At the end it lets the
        kernel run for a moment, so that the debugger can then detach safely.
        """
        self._end_live()  # while it drains, the kernel runs only for gdbfpu
        if self.breakpoints and self._model is not None:
            self._drain(self._model)
        was_on = self._remove()
        if self._unsettled and self._target is not None and self._model is not None:
            run_to_tick(self._target, self, self._model.kernel)
            self._resumed(None)
        return was_on

    def _remove(self) -> bool:
        """Delete the probes and end the event file; return whether there were probes."""
        self._end_live()
        was_on = bool(self.breakpoints)
        while self.breakpoints:
            point = self.breakpoints.pop()
            if point.is_valid():
                point.delete()
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

    def _drain(self, model: FpuModel) -> None:
        """Let each CPU that waits to report a hit report it, then leave the kernel stopped.

        The kernel runs until all have reported. This must happen before the probes are removed:
        afterwards, such a CPU could not leave KGDB. See `gdbfpu.kernel.kgdb`.
        """
        self._draining = True
        with contextlib.suppress(gdb.error, GdbFpuError):  # the kernel and its hits are gone
            for _ in range(_MOST_DRAINED):
                if not waiting_cpus(model.kernel):
                    break
                gdb.execute("continue", False, True)
        self._draining = False

    def _resumed(self, _event: Any) -> None:
        """Note that the kernel runs again: without probes, it soon has no pending hits."""
        if self._unsettled and not self.breakpoints:
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

    def failed(self, reason: str) -> None:
        """Count a hit that could not be recorded or resumed for `reason`."""
        self.totals.fail(reason)
        set_counters(self.totals.hits, self.totals.failed)

    def _stopped(self, event: Any) -> None:
        """Say why the kernel stopped, and end a trace that is full.

        The reason comes first. Once the trace has ended, GDB's pager is on again: it could ask the
        user for a key before it shows the reason.
        """
        if self._draining or not self.breakpoints or self.tracer is None:
            return
        with uninterrupted():
            if self.live is not None:
                self.live.stopped(self.totals)
            if why := reason(event, self.tracer):
                say(f"fpu-trace: {why}")
            if self.tracer.full:
                self._remove()

    def _breakpoint(self, point: Any) -> None:
        if self._model is not None:
            warn_of_conditions([point], self._model.kernel)

    def _connection_ended(self, event: Any) -> None:
        if not hasattr(event, "new_objfile") and self._remove():
            say("fpu-trace: the kernel is gone; tracing is off")
        self._resumed(event)  # the pending hits have ended with the connection
        self._target = self._model = None


@functools.cache
def session() -> Session:
    """Return the session of this GDB. The first call creates it."""
    return Session()
