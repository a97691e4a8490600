# SPDX-License-Identifier: GPL-2.0-or-later
"""A probe in the kernel: the stop() boundary, and resuming without a step.

stop() never raises and never leaves the kernel stopped by accident: whatever goes wrong is
counted by reason, and the kernel runs on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Callable, Protocol

import gdb

from gdbfpu.audit.watch import job_of
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.errors import MemoryFault
from gdbfpu.probes.catalogue import Probe

if TYPE_CHECKING:
    from gdbfpu.probes.resume import Resume

__all__ = ("Host", "Point", "ProbeBreakpoint", "ReturnBreakpoint", "plant")


_NEAR = 2048  # bytes behind a function in which another one returns


class Host(Protocol):
    """What a probe asks of the session that planted it."""

    def hits(self) -> int:
        """Return how many hits are recorded."""

    def hit(self, probe: Probe) -> bool:
        """Record a hit of `probe`; return whether the kernel shall stay stopped."""

    def entered(self, probe: Probe) -> bool:
        """Note what the audit needs of a call of `probe` that was recorded; return False."""

    def returned(self, probe: Probe) -> bool:
        """Audit the call of `probe` that returns here; return whether the kernel shall stay."""

    def enough(self) -> bool:
        """Return whether the kernel shall stay stopped though nothing is to be recorded."""

    def failed(self, reason: str) -> None:
        """Take the reason why a hit could not be recorded or resumed."""

    def gs_base(self) -> int:
        """Return the stopped CPU's gs_base, which KGDB does not show."""


class Point(gdb.Breakpoint):  # type: ignore[misc]
    """A breakpoint at `address` for `host`, left by the effect of `resume` (None: by a step).

    `name` is the function's.
    """

    def __init__(
        self, target: GdbTarget, name: str, address: int, resume: Resume | None, host: Host
    ) -> None:
        self.resume = resume
        self.address = address
        self.name = name
        self.passes = 0
        self._target = target
        self._host = host
        self._pass = 0
        self._hits_before = 0
        self._effect: dict[str, int] = {}
        super().__init__(f"*{address:#x}", internal=True)
        # A ^C that came before GDB enters Python is raised at the first instruction of what it
        # calls, in front of any `try` of a function; a generator resumes within its own.
        self.stop = self._stops().__next__
        self.stop()

    def _stops(self) -> Iterator[bool]:
        """At each hit, yield whether the kernel stays stopped; a ^C leaves no step undone.

        A ^C may come just when a step is done, which is then made again: each step is such that
        this changes nothing.
        """
        stay, todo = False, deque[Callable[[], bool]]()
        while True:
            try:
                while True:
                    if not todo:
                        try:
                            yield stay
                            stay = False
                        except KeyboardInterrupt:  # before anything of this hit was done
                            stay = True
                        self._pass = self.passes + 1
                        todo.extend((self._count, *self._steps(), self._compute, self._write))
                    while todo:
                        stay |= self._guarded(todo[0])
                        todo.popleft()
            except KeyboardInterrupt:
                stay = True

    def _steps(self) -> tuple[Callable[[], bool], ...]:
        """Return what is to be done at a hit before the kernel goes on."""
        raise NotImplementedError

    def describe(self) -> str:
        """Return a line about the point: where it stands and how the kernel resumes."""
        way = "at its entry, where GDB has to step: hits can be lost on several CPUs"
        if self.resume is not None:
            way = f"on `{self.resume.text}`, resumed without a step"
        return f"{self.name} at {self.address:#x}, {way}"

    def _count(self) -> bool:
        self.passes = self._pass
        self._hits_before = self._host.hits()
        return False

    def _compute(self) -> bool:
        self._effect = self.resume.effect(self._register, self._load) if self.resume else {}
        return False

    def _register(self, name: str) -> int:
        value = self._host.gs_base() if name == "gs_base" else self._target.register(name)
        if value is None:
            raise gdb.error(f"register {name} cannot be read")
        return value

    def _load(self, address: int, size: int) -> int:
        return int.from_bytes(self._target.read_memory(address, size), "little")

    def _write(self) -> bool:
        """Write what changes: at each write GDB forgets all registers and fetches them again."""
        for name, value in self._effect.items():
            if self._target.register(name) != value:
                self._target.write_register(name, value)
        return False

    def _guarded(self, step: Callable[[], bool]) -> bool:
        """Return what `step` returns, False when it fails; let a ^C through."""
        try:
            return step()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - the one place that may, in stop()
            self._host.failed(f"{type(error).__name__}: {error}".splitlines()[0])
            return False


class ProbeBreakpoint(Point):
    """A breakpoint on the function of `probe`, which begins at `entry`.

    It stands where the kernel can be resumed without a step, if there is such a place. `audited`
    tells whether its calls are watched for the audit, None that nobody asked for that.
    """

    def __init__(
        self, target: GdbTarget, probe: Probe, entry: int, host: Host, audited: bool | None
    ) -> None:
        from gdbfpu.probes.resume import (
            choose,  # it needs capstone, which takes longer than all else
        )

        self.probe = probe
        self._audited = audited
        resume = choose(target.function_code(entry), entry, probe.registers)
        place = resume.address if resume else entry
        super().__init__(target, probe.function, place, resume, host)

    def describe(self) -> str:
        """Return a line about the point, and that its calls are not audited though they should."""
        unseen = "; not audited, since not all of its returns can be seen"
        return super().describe() + (unseen if self._audited is False else "")

    def _steps(self) -> tuple[Callable[[], bool], ...]:
        return (self._record, self._enter) if self._audited else (self._record,)

    def _record(self) -> bool:
        if self._host.hits() != self._hits_before:
            return self._host.enough()
        return self._host.hit(self.probe)

    def _enter(self) -> bool:
        return self._host.hits() != self._hits_before and self._host.entered(self.probe)


class ReturnBreakpoint(Point):
    """A breakpoint where the function of `probe` returns, by the effect of `resume`."""

    def __init__(self, target: GdbTarget, probe: Probe, resume: Resume, host: Host) -> None:
        self.probe = probe
        super().__init__(target, probe.function, resume.address, resume, host)

    def _steps(self) -> tuple[Callable[[], bool], ...]:
        return (self._returned,)

    def _returned(self) -> bool:
        return self._host.returned(self.probe)


def plant(
    target: GdbTarget, chosen: Sequence[tuple[Probe, int]], host: Host, audit: bool
) -> Iterator[Point]:
    """Plant each probe of `chosen` at its function's address, one after another, and yield them.

    With `audit`, points where the function returns come before the one where it begins, so that
    no call is seen to begin whose return is not; a function of which not every return can be
    seen is not audited.
    """
    watched = {entry: job_of(probe) for probe, entry in chosen if audit and job_of(probe)}
    returns = _returns(target, [entry for entry, job in watched.items() if job != "fault"])
    for probe, entry in chosen:
        for resume in returns.get(entry, ()):
            yield ReturnBreakpoint(target, probe, resume, host)
        audited = returns.get(entry) != () if entry in watched else None
        yield ProbeBreakpoint(target, probe, entry, host, audited)


def _returns(target: GdbTarget, entries: Sequence[int]) -> dict[int, tuple[Resume, ...]]:
    """Return where each function that begins at one of `entries` returns.

    Empty where not every return is seen. The RET that stands in for theirs is one behind a
    function, in none of them.
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
