# SPDX-License-Identifier: GPL-2.0-or-later
"""The only breakpoint of a fast trace: where a pass finds no room for its record."""

from __future__ import annotations

from collections.abc import Callable

from gdbfpu.dbg.interruptible import Step
from gdbfpu.dbg.point import Host, Point
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.fast.trampoline import Program
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.probes.resume import Resume

__all__ = ("FullPoint",)


class FullPoint(Point):
    """Collects what is recorded, and has the pass try again. Without it, the pass is lost."""

    def __init__(
        self,
        target: GdbTarget,
        kernel: Kernel,
        program: Program,
        host: Host,
        collect: Callable[[], None],
    ) -> None:
        self._collect = collect
        resume = Resume(program.full, program.retry, "nop")
        super().__init__(target, kernel, "the recorder", program.full, resume, host)

    def _steps(self) -> tuple[Step, ...]:
        return (self._make_room, self._host.enough)

    def _make_room(self) -> bool:
        self._collect()
        return False
