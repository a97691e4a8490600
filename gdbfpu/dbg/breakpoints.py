# SPDX-License-Identifier: GPL-2.0-or-later
"""A probe in the kernel: the stop() boundary, and resuming without a step.

stop() never raises and never leaves the kernel stopped by accident: whatever goes wrong is
counted by reason, and the kernel runs on.
"""

from __future__ import annotations

from typing import Callable

import gdb

from gdbfpu.dbg.target import GdbTarget
from gdbfpu.probes import Probe
from gdbfpu.prologue import Resume, choose

__all__ = ("ProbeBreakpoint",)


class ProbeBreakpoint(gdb.Breakpoint):  # type: ignore[misc]
    """A breakpoint on the function of `probe`, which begins at `address`.

    `on_hit` records a hit and returns whether the kernel shall stay stopped; `on_error` takes
    the reason why a hit could not be recorded or resumed.
    """

    def __init__(
        self,
        target: GdbTarget,
        probe: Probe,
        address: int,
        on_hit: Callable[[Probe], bool],
        on_error: Callable[[str], None],
    ) -> None:
        code = target.function_code(address)
        self.resume: Resume | None = choose(code, address, probe.registers)
        self.address = self.resume.address if self.resume else address
        self.probe = probe
        self.passes = 0
        self._target = target
        self._on_hit = on_hit
        self._on_error = on_error
        super().__init__(f"*{self.address:#x}", internal=True)

    def stop(self) -> bool:
        """Record the hit, write the effect of the instruction stood on, and let the kernel run."""
        self.passes += 1
        stay = self._guarded(lambda: self._on_hit(self.probe))
        if self.resume is not None:
            effect: dict[str, int] = {}
            stay |= self._guarded(lambda: self._compute(effect))
            for _ in range(2):  # a ^C may come between two writes: they are then made again
                if effect and self._guarded(lambda: self._write(effect)):
                    stay = True
                else:
                    break
        return stay

    def _compute(self, effect: dict[str, int]) -> bool:
        if self.resume is not None:
            effect.update(self.resume.effect(self._register))
        return False

    def _register(self, name: str) -> int:
        value = self._target.register(name)
        if value is None:
            raise gdb.error(f"register {name} cannot be read")
        return value

    def _write(self, effect: dict[str, int]) -> bool:
        for name, value in effect.items():
            self._target.write_register(name, value)
        return False

    def _guarded(self, step: Callable[[], bool]) -> bool:
        """Return what `step` returns; True when the person interrupts it, False when it fails."""
        try:
            return step()
        except KeyboardInterrupt:
            return True
        except BaseException as error:  # noqa: BLE001 - the one place that may, in stop()
            self._on_error(f"{type(error).__name__}: {error}".splitlines()[0])
            return False
