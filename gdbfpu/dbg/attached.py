# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel that GDB is attached to, as far as it is known, and the totals of its traces.

What we know of a kernel is valid until the connection to it ends. The totals are valid until
`fpu-trace clear`, or until GDB is attached to another kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import gdb

from gdbfpu.commands.model import read_model
from gdbfpu.dbg.conditions import warn_of_conditions
from gdbfpu.dbg.counters import set_counters
from gdbfpu.dbg.debug_files import debug_helpers, kernel_file
from gdbfpu.dbg.placing import place_symbols
from gdbfpu.dbg.progress import Progress
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.dbg.terminal import say
from gdbfpu.dbg.threads import selected_thread
from gdbfpu.errors import GdbFpuError
from gdbfpu.fpu.looks import Looks
from gdbfpu.fpu.model import FpuModel
from gdbfpu.kernel import identity
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.trace.totals import Totals

if TYPE_CHECKING:
    from gdbfpu.dbg.ask_cpu import CpuQuestions

__all__ = ("Attached",)


class Attached:
    """The kernel behind GDB's connection. Each fact about it is read when it is first needed."""

    def __init__(self) -> None:
        self._totals = Totals()
        self.build_id = ""
        self._known = ""  # the kernel whose totals these are: its build-id, or its banner
        self._target: GdbTarget | None = None
        self._model: FpuModel | None = None
        self._looks: Looks | None = None
        self._questions: CpuQuestions | None = None

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
        if selected_thread() is None:
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

    @property
    def questions(self) -> CpuQuestions:
        """Return how to ask the stopped CPU for its registers; raise GdbFpuError."""
        from gdbfpu.dbg.ask_cpu import CpuQuestions  # imports capstone, which is slow

        model = self.model
        if self._questions is None or self._questions.model is not model:
            self._questions = CpuQuestions(self.target, model, kernel_file())
        return self._questions

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

    def _forget(self) -> None:
        """Forget the kernel: the connection to it has ended, or GDB has new symbols."""
        self._target = self._model = None
