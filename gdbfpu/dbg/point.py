# SPDX-License-Identifier: GPL-2.0-or-later
"""A breakpoint that the kernel leaves without a step, and what is done at a hit.

Whatever goes wrong at a hit is counted by reason, and the kernel runs on.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import gdb

from gdbfpu.dbg.interruptible import Step, interruptible
from gdbfpu.dbg.language import in_c
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.dbg.terminal import tell
from gdbfpu.errors import GdbFpuError
from gdbfpu.kernel.tasks import Kernel, Task
from gdbfpu.trace.entries import Caught, Entry

if TYPE_CHECKING:
    from gdbfpu.probes.resume import Resume

__all__ = ("Host", "Passage", "Point")


class Host(Protocol):
    """What a probe asks of the session that planted it."""

    def enough(self) -> bool:
        """Return whether the kernel must stay stopped: the limit is reached, for example."""

    def passed(self, caught: Caught | None) -> None:
        """Note that the kernel passes a probe; `caught` is the hit, None if none was recorded."""

    gone: bool
    """Whether the connection to the kernel has ended during the present hit."""

    def over(self) -> bool:
        """Take note that a hit has been handled; return whether the kernel is gone since."""

    def failed(self, reason: str) -> None:
        """Take the reason why a hit could not be recorded or resumed."""


@dataclass
class Passage:
    """One pass of the kernel through a point, and what each step leaves for the next ones.

    `number` counts from 1, `current` is the CPU that stopped and its task, `caught` the hit,
    `entry` what is to be recorded now, `effect` the registers with which the kernel goes on.
    """

    number: int
    current: tuple[int, Task] | None = None
    caught: Caught | None = None
    entry: Entry | None = None
    effect: dict[str, int] = field(default_factory=dict)


class Point(gdb.Breakpoint):  # type: ignore[misc]
    """A breakpoint on `name` at `address`.

    After a hit the kernel goes on with the effect of `resume`. If `resume` is None, a CPU steps: if
    `held`, while KGDB holds the others, otherwise as GDB does it. The breakpoint's stop() is a list
    of steps, each of which can run again (gdbfpu.dbg.interruptible).
    """

    def __init__(
        self,
        target: GdbTarget,
        kernel: Kernel,
        name: str,
        address: int,
        resume: Resume | None,
        host: Host,
    ) -> None:
        self.resume = resume
        self.held = False
        self.address = address
        self.name = name
        self.passes = 0
        self._target = target
        self._kernel = kernel
        self._host = host
        self._here = Passage(0)
        with in_c():
            super().__init__(f"*{address:#x}", internal=True)
        self.silent = True  # gdbfpu itself reports a stop here (gdbfpu.dbg.stops)
        own = (self._compute, self._write, self._step, self._over)
        steps = (self._begin, self._count, *self._steps(), *own)
        self.stop = interruptible(steps, host.failed)

    def _steps(self) -> tuple[Step, ...]:
        """Return the steps to run at a hit before the kernel goes on."""
        raise NotImplementedError

    def describe(self) -> str:
        """Return a line about the point: where it stands and how the kernel resumes."""
        way = "at its entry, where GDB has to step: hits can be lost on several CPUs"
        if self.held:
            way = "at its entry, stepped over while KGDB holds the other CPUs"
        if self.resume is not None:
            way = f"on `{self.resume.text}`, resumed without a step"
        return f"{self.name} at {self.address:#x}, {way}"

    @property
    def handled(self) -> bool:
        """Return whether GDB is in this point's stop()."""
        return bool(self.stop.__self__.gi_running)  # type: ignore[attr-defined]

    def remove(self) -> bool:
        """Delete the breakpoint, unless it is gone, and return True.

        GDB deletes it first, and raises an error then if it finds the kernel gone. If it is being
        handled, GDB uses it when its stop() is over: then this only disables it.
        """
        with suppress(gdb.error):
            if self.is_valid() and self.handled:
                self.enabled = False
                return False
            if self.is_valid():
                self.delete()
        return True

    def _begin(self) -> bool:
        self._here = Passage(self.passes + 1)
        return False

    def _count(self) -> bool:
        self.passes = self._here.number
        return False

    def _current(self) -> tuple[int, Task]:
        """Return the CPU that stopped and its task, read from the kernel once per pass."""
        if self._here.current is None:
            self._here.current = self._kernel.current()
        return self._here.current

    def _compute(self) -> bool:
        if self.resume is not None and not self._host.gone:
            self._here.effect = self.resume.effect(self._register, self._load)
        return False

    def _register(self, name: str) -> int:
        if name == "gs_base":  # which KGDB does not show
            return self._kernel.cpu_offsets[self._current()[0]]
        value = self._target.register(name)
        if value is None:
            raise gdb.error(f"register {name} cannot be read")
        return value

    def _load(self, address: int, size: int) -> int:
        return int.from_bytes(self._target.read_memory(address, size), "little")

    def _write(self) -> bool:
        """Write only registers that change: after each write, GDB fetches all registers again."""
        for name, value in self._here.effect.items():
            if self._target.register(name) != value:
                self._target.write_register(name, value)
        return False

    def _step(self) -> bool:
        """Step over this breakpoint; stay stopped if the CPU is not where it should be then."""
        if not self.held or self._host.gone:
            return False
        from gdbfpu.dbg.one_step import step_over

        try:
            step_over(self._target, self._kernel, self.address)
        except GdbFpuError as error:
            tell(f"fpu-trace: cannot step over {self.name}: {error}")
            return True
        return False

    def _over(self) -> bool:
        """Stay stopped if the kernel is gone: GDB would crash if it resumed it."""
        return self._host.over()
