# SPDX-License-Identifier: GPL-2.0-or-later
"""A probe in the kernel: the stop() boundary, and resuming without a step.

stop() never raises and never leaves the kernel stopped by accident: whatever goes wrong is
counted by reason, and the kernel runs on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Callable, Protocol

import gdb

from gdbfpu.dbg.target import GdbTarget
from gdbfpu.probes import Probe
from gdbfpu.prologue import Resume, choose

__all__ = ("Host", "ProbeBreakpoint")


class Host(Protocol):
    """What a probe asks of the session that planted it."""

    def hits(self) -> int:
        """Return how many hits are recorded."""

    def hit(self, probe: Probe) -> bool:
        """Record a hit of `probe`; return whether the kernel shall stay stopped."""

    def enough(self) -> bool:
        """Return whether the kernel shall stay stopped though nothing is to be recorded."""

    def failed(self, reason: str) -> None:
        """Take the reason why a hit could not be recorded or resumed."""

    def gs_base(self) -> int:
        """Return the stopped CPU's gs_base, which KGDB does not show."""


class ProbeBreakpoint(gdb.Breakpoint):  # type: ignore[misc]
    """A breakpoint on the function of `probe`, which begins at `address`, for `host`."""

    def __init__(self, target: GdbTarget, probe: Probe, address: int, host: Host) -> None:
        code = target.function_code(address)
        self.resume: Resume | None = choose(code, address, probe.registers)
        self.address = self.resume.address if self.resume else address
        self.probe = probe
        self.passes = 0
        self._target = target
        self._host = host
        self._pass = 0
        self._hits_before = 0
        self._effect: dict[str, int] = {}
        super().__init__(f"*{self.address:#x}", internal=True)
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
                        todo.extend((self._count, self._record, self._compute, self._write))
                    while todo:
                        stay |= self._guarded(todo[0])
                        todo.popleft()
            except KeyboardInterrupt:
                stay = True

    def _count(self) -> bool:
        self.passes = self._pass
        self._hits_before = self._host.hits()
        return False

    def _record(self) -> bool:
        if self._host.hits() != self._hits_before:
            return self._host.enough()
        return self._host.hit(self.probe)

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
        for name, value in self._effect.items():
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
