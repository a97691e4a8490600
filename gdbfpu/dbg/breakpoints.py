# SPDX-License-Identifier: GPL-2.0-or-later
"""The breakpoints of a trace: where probed functions begin, and for an audit where they return."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import gdb

from gdbfpu.audit.watch import job_of
from gdbfpu.dbg.interruptible import Step
from gdbfpu.dbg.point import Host, Point
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.errors import MemoryFault
from gdbfpu.probes.catalogue import Probe
from gdbfpu.probes.jobs import Job
from gdbfpu.trace.tracer import Tracer

if TYPE_CHECKING:
    from gdbfpu.probes.resume import Resume

__all__ = ("ProbeBreakpoint", "ReturnBreakpoint", "plant")


_NEAR = 2048  # bytes behind a function in which another one returns


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
        """Return the steps that record the entry that `find` finds, if it finds one."""
        return find, self._log, self._add, self._show

    def _log(self) -> bool:
        if self._here.entry is not None:
            self._tracer.write(self._here.entry)
        return False

    def _add(self) -> bool:
        if self._here.entry is not None:
            self._tracer.add(self._here.entry)
        return False

    def _show(self) -> bool:
        entry = self._here.entry
        text = "".join(f"{line}\n" for line in self._tracer.lines(entry)) if entry else ""
        self._here.entry = None  # once only, when a ^C has this step made again
        if text:
            gdb.write(text)
            gdb.flush()
        return False


class ProbeBreakpoint(_Recorder):
    """A breakpoint on the function of `probe`, which begins at `entry`.

    It stands where the kernel can be resumed without a step, if there is such a place. `audited`
    tells whether its calls are watched for the audit, None that nobody asked for that.
    """

    def __init__(
        self,
        target: GdbTarget,
        probe: Probe,
        entry: int,
        tracer: Tracer,
        host: Host,
        audited: bool | None,
    ) -> None:
        from gdbfpu.probes.resume import (
            choose,  # it needs capstone, which takes longer than all else
        )

        self._audited = audited
        resume = choose(target.function_code(entry), entry, probe.registers)
        place = (resume.address if resume else entry, resume)
        super().__init__(target, probe, place, tracer, host)

    def describe(self) -> str:
        """Return a line about the point, and that its calls are not audited though they should."""
        unseen = "; not audited, since not all of its returns can be seen"
        return super().describe() + (unseen if self._audited is False else "")

    def _steps(self) -> tuple[Step, ...]:
        audit = self._recorded(self._enter) if self._audited else ()
        return (*self._recorded(self._catch), *audit, self._host.enough)

    def _catch(self) -> bool:
        if not self._tracer.full:
            self._here.caught = self._tracer.hit(self.probe, *self._current())
            self._here.entry = self._here.caught
        return False

    def _enter(self) -> bool:
        self._here.entry = None
        if self._here.caught is not None:
            self._here.entry = self._tracer.entered(self._here.caught)
        return False


class ReturnBreakpoint(_Recorder):
    """A breakpoint where the function of `probe` returns, by the effect of `resume`."""

    def __init__(
        self, target: GdbTarget, probe: Probe, resume: Resume, tracer: Tracer, host: Host
    ) -> None:
        super().__init__(target, probe, (resume.address, resume), tracer, host)

    def _steps(self) -> tuple[Step, ...]:
        return (*self._recorded(self._return), self._host.enough)

    def _return(self) -> bool:
        self._here.entry = self._tracer.returned(self.probe, self._current()[1])
        return False


def plant(
    target: GdbTarget, chosen: Sequence[tuple[Probe, int]], tracer: Tracer, host: Host
) -> Iterator[Point]:
    """Plant each probe of `chosen` at its function's address, one after another, and yield them.

    When `tracer` audits, points where the function returns come before the one where it begins,
    so that no call is seen to begin whose return is not; a function of which not every return
    can be seen is not audited.
    """
    audit = tracer.options.audit
    watched = {entry: job_of(probe) for probe, entry in chosen if audit and job_of(probe)}
    returns = _returns(target, [entry for entry, job in watched.items() if job is not Job.FAULT])
    for probe, entry in chosen:
        for resume in returns.get(entry, ()):
            yield ReturnBreakpoint(target, probe, resume, tracer, host)
        audited = returns.get(entry) != () if entry in watched else None
        yield ProbeBreakpoint(target, probe, entry, tracer, host, audited)


def _returns(target: GdbTarget, entries: Sequence[int]) -> dict[int, tuple[Resume, ...]]:
    """Return where each function that begins at one of `entries` returns.

    Empty where not every return is seen. To leave a function we jump to some other RET, outside
    every probed function.
    """
    from gdbfpu.probes.returns import exits, find_ret

    thunk = target.symbol_address("__x86_return_thunk")
    codes = {entry: target.function_code(entry) for entry in entries}
    taken = [range(entry, entry + len(code)) for entry, code in codes.items()]
    spare = None
    for entry, code in codes.items():
        end = entry + len(code)
        with suppress(MemoryFault):  # the text may end there
            spare = spare or find_ret(target.read_memory(end, _NEAR), end, taken)
    if spare is None:
        return dict.fromkeys(entries, ())
    return {entry: exits(target.whole_function, entry, thunk, spare) for entry in codes}
