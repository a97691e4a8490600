# SPDX-License-Identifier: GPL-2.0-or-later
"""The breakpoints of a trace: where probed functions begin, and where they return.

An audit needs the breakpoints at returns. The tracer also needs them to look at a signal frame that
the kernel has just written, since a frame may show whether its task uses the FPU. If only the
tracer needs them, these breakpoints are enabled only while such a frame is being written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import gdb

from gdbfpu.dbg.interruptible import Step
from gdbfpu.dbg.point import Host, Point
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.dbg.terminal import hit_width, say, tell
from gdbfpu.errors import UsageError
from gdbfpu.kernel.tasks import Task
from gdbfpu.probes.catalogue import Probe
from gdbfpu.trace.tracer import Tracer

if TYPE_CHECKING:
    from gdbfpu.probes.resume import Resume

__all__ = ("ProbeBreakpoint", "ReturnBreakpoint", "Site")


@dataclass(frozen=True)
class Site:
    """The function of `probe`, which begins at `entry`, and how a hit there is resumed.

    `resume` is None if no instruction qualifies. Then the kernel steps with its other CPUs held, if
    `held`; otherwise GDB has to step.
    """

    probe: Probe
    entry: int
    resume: Resume | None
    held: bool = False


class _Recorder(Point):
    """A point on the function of `probe`, at which `tracer` finds something to record."""

    def __init__(
        self,
        target: GdbTarget,
        probe: Probe,
        place: tuple[int, Resume | None],
        tracer: Tracer,
        host: Host,
    ) -> None:
        self.probe = probe
        self._tracer = tracer
        super().__init__(target, tracer.model.kernel, probe.function, *place, host)

    def _recorded(self, find: Step) -> tuple[Step, ...]:
        """Return the steps that record the entry that `find` finds, if there is one."""
        return find, self._log, self._add, self._show

    def _log(self) -> bool:
        if self._here.entry is not None and (why := self._tracer.write(self._here.entry)):
            tell(f"fpu-trace: {why}; the trace goes on without this file")
        return False

    def _add(self) -> bool:
        if self._here.entry is not None:
            self._tracer.add(self._here.entry)
        return False

    def _show(self) -> bool:
        entry = self._here.entry
        lines = self._tracer.lines(entry, hit_width()) if entry else ()
        self._here.entry = None  # show the entry only once, even if a ^C makes this step run again
        if lines:
            say("\n".join(lines))
            gdb.flush()
        return False


class ProbeBreakpoint(_Recorder):
    """A breakpoint on the function that begins at `site`.

    If possible, the breakpoint is at a place from which the kernel can be resumed without a step.
    `audited` says whether the audit watches the function's calls. It is False if the audit cannot
    see all returns, None if nobody asked for an audit of this function. `returns` are the
    breakpoints at the function's returns.
    """

    condition: str | None

    def __init__(
        self,
        target: GdbTarget,
        site: Site,
        tracer: Tracer,
        host: Host,
        audited: bool | None,
        returns: Sequence[ReturnBreakpoint] = (),
    ) -> None:
        self._audited = audited
        self._returns = returns
        place = (site.resume.address if site.resume else site.entry, site.resume)
        super().__init__(target, site.probe, place, tracer, host)
        self.held = site.held

    def describe(self) -> str:
        """Return a line about the point. The line says if the audit cannot watch the calls."""
        unseen = "; not audited, since not all of its returns can be seen"
        return super().describe() + (unseen if self._audited is False else "")

    def _steps(self) -> tuple[Step, ...]:
        audit = self._recorded(self._enter) if self._audited else ()
        wait = (self._wait,) if self._returns else ()
        after = (self._pass, self._stay, self._host.enough)
        return (*self._recorded(self._catch), *audit, *wait, *after)

    def check(self, condition: str) -> None:
        """Raise UsageError if GDB cannot parse `condition` in the scope of this function."""
        try:
            self.condition = condition  # GDB parses it in the frame's scope
        except gdb.error as error:
            why = f"--if {condition}: {error} (in {self.probe.function})"
            raise UsageError(why) from error
        finally:
            self.condition = None

    @property
    def hit(self) -> int:
        """Return the number of the hit that the last pass recorded, 0 for none."""
        return self._here.caught.record.seq if self._here.caught is not None else 0

    def _pass(self) -> bool:
        self._host.passed(self._here.caught)
        return False

    def _stay(self) -> bool:
        return self._tracer.options.stop and self._here.caught is not None

    def _fulfilled(self) -> bool:
        """Return whether the user's condition is true here; raise gdb.error."""
        condition = self._tracer.options.condition
        if not condition or gdb.parse_and_eval(condition):
            return True
        self._tracer.totals.filtered += 1
        return False

    def _catch(self) -> bool:
        if not self._tracer.full and self._fulfilled():
            self._here.caught = self._tracer.hit(self.probe, *self._current())
            self._here.entry = self._here.caught
        return False

    def _enter(self) -> bool:
        self._here.entry = None
        if self._here.caught is not None:
            self._here.entry = self._tracer.entered(self._here.caught)
        return False

    def _wait(self) -> bool:
        if self._here.caught is not None:
            self._tracer.wait(self._here.caught)
        for point in self._returns:
            point.enable()
        return False


class ReturnBreakpoint(_Recorder):
    """A breakpoint at an instruction where the function of `probe` returns.

    `resume` has the effect of this instruction. `siblings` are the breakpoints at all returns of
    this function. If the function's calls are not `audited`, the siblings are disabled unless the
    tracer waits for a signal frame.
    """

    enabled: bool

    def __init__(
        self,
        target: GdbTarget,
        probe: Probe,
        resume: Resume,
        tracer: Tracer,
        host: Host,
        audited: bool,
        siblings: Sequence[ReturnBreakpoint],
    ) -> None:
        self._audited = audited
        self._siblings = siblings
        super().__init__(target, probe, (resume.address, resume), tracer, host)
        self.enable()

    def describe(self) -> str:
        """Return a line about the point, and when it is enabled."""
        when = ", enabled only while the trace waits for a signal frame"
        return super().describe() + ("" if self._audited else when)

    def enable(self) -> None:
        """Enable the point if it is needed now, else disable it."""
        needed = self._audited or self._tracer.waiting
        if self.enabled != needed:
            self.enabled = needed

    def _steps(self) -> tuple[Step, ...]:
        audit = self._recorded(self._return) if self._audited else ()
        return (*self._recorded(self._learn), *audit, self._rest, self._host.enough)

    def _learn(self) -> bool:
        self._here.entry = self._tracer.learned(self._caller())
        return False

    def _rest(self) -> bool:
        for point in self._siblings:
            point.enable()
        return False

    def _return(self) -> bool:
        self._here.entry = self._tracer.returned(self.probe, self._caller())
        return False

    def _caller(self) -> Task:
        """Return the task that returns: that of an open call need not be read from the kernel."""
        return self._tracer.caller(self.probe) or self._current()[1]
