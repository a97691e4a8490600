# SPDX-License-Identifier: GPL-2.0-or-later
"""Look at registers that are surely a task's own, and tell whether they are initial.

A look reads as little as possible. It starts with the x87 and SSE registers, where nearly every
user of the FPU has values. Then it reads component by component up to the first that is not
initial.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

from gdbfpu.fpu.evidence import Basis, Evidence, Observation
from gdbfpu.fpu.model import NOT_FPU, FpuModel
from gdbfpu.fpu.registers import shown_registers
from gdbfpu.fpu.xstate import MAX_IMAGE
from gdbfpu.kernel.signals import blocked, blocked_and_switches, may_be_in_handler
from gdbfpu.kernel.tasks import Task
from gdbfpu.kernel.usermem import UserMemory
from gdbfpu.xsave.area import EXTENDED_OFFSET, LEGACY_SIZE, Span, changed, standard_spans
from gdbfpu.xsave.live import placed

__all__ = ("Looks",)

_X87, _SSE = 1, 2
_EXTENDED = ~(_X87 | _SSE)
# One KGDB packet has room for MXCSR, the registers and the header. FCW, FSW and FTW come second.
_FIRST = ((24, 528), (0, 24))
_FXSAVE_SIZE = 416
_POINTERS = slice(6, 24)  # FOP, FIP, FDP: may be stale, or the kernel's own (FXSAVE_LEAK)
_HEADER = slice(512, 520)
_MXCSR = slice(24, 28)
_LEGACY, _SSE_ALONE = standard_spans(_X87 | _SSE), standard_spans(_SSE)
_INITIAL = (b"\x7f\x03".ljust(24, b"\0") + b"\x80\x1f").ljust(LEGACY_SIZE, b"\0")

_OLDER = {"fpregs_active", "has_fpu"}  # members of struct fpu up to 4.13

_Read = Callable[[int, int], bytes]


class Looks:
    """Looks at the states of tasks in the kernel of `model`.

    The object also learns which components the CPU tracks. If a component's bit is ever clear in a
    frame that a CPU wrote, the CPU tracks it, so a set bit means use. QEMU's TCG sets nearly all
    bits at each save.
    """

    def __init__(self, model: FpuModel) -> None:
        self._model = model
        self._tracked = 0
        xstate = model.xstate
        spans = standard_spans(xstate.user_mask | 3, xstate.tables.offsets, xstate.tables.sizes)
        # A damaged table may have offsets of gigabytes.
        self._user_spans = tuple(span for span in spans if span.end <= MAX_IMAGE)

    @property
    def model(self) -> FpuModel:
        """Return the model of the kernel."""
        return self._model

    def now(self, evidence: Evidence, task: Task, cpu: int | None) -> Evidence:
        """Return `evidence` about `task` with what the stopped kernel shows added.

        `cpu` is the CPU that runs `task`, None if no CPU does. Raises MemoryFault or CorruptState.
        """
        if evidence.proof is not None:
            return evidence
        if task.kthread:
            return evidence.with_(Observation(Basis.KERNEL, 0, flag="a kernel thread"))
        if self._model.switching == "lazy":
            seen, missing = self.state(task), "it may be in a signal handler"
        elif cpu is None or not self._model.live(task.address):
            seen, missing = self.memory(task), "it has no state"
        else:
            seen, missing = self._running(task, cpu), f"CPU {cpu} has its registers"
        return self.add(evidence, seen, task) if seen else evidence.without(missing)

    def _running(self, task: Task, cpu: int) -> Observation | None:
        """Look at `task`, whose registers are in CPU number `cpu`; return None if no use shows.

        The task's image in memory, from the last switch, shows earlier use of the FPU. But exec
        used to leave the old image, which belongs to the old program or to its parent. Commit
        b22cbe404a9c fixed that in 4.9 and 4.8.15. We go by struct members that exist up to 4.13:
        if the kernel has one of them, we ignore the image.
        """
        model = self._model
        taken, told = model.kernel_use(cpu)
        fpu = model.fpu_of(task.address)
        seen = (
            self.registers(task, cpu) if told and not taken and not model.holds_guest(fpu) else None
        )
        if seen is None and not _OLDER & model.flags.keys():
            seen = self.memory(task)
        return seen if seen and seen.used else None

    def memory(self, task: Task, hit: int = 0) -> Observation | None:
        """Look at the image in memory of `task`, whose registers are in no CPU now.

        Returns None if the task has no image. Raises MemoryFault or CorruptState.
        """
        model = self._model
        fpu = model.fpu_of(task.address)
        address = model.image_address(fpu)
        if not address:
            return None
        read, size = model.kernel.target.read_memory, model.image_size(address)
        return self._seen(task, Basis.MEMORY, *self._values(read, address, size), hit)

    def frame(self, task: Task, address: int, hit: int = 0) -> Observation:
        """Look at the XSAVE or FXSAVE image at user `address`, just written for `task`.

        Raises MemoryFault.
        """
        read = UserMemory(self._model.kernel, task.address).read
        values, bits = self._values(read, address, self._model.xstate.user_size, self._user_spans)
        if self._model.format != "fxsave":
            clear = self._model.xstate.user_mask & ~bits & _EXTENDED & ~NOT_FPU
            self._tracked |= clear
        return self._seen(task, Basis.FRAME, values, bits, hit)

    def registers(self, task: Task, cpu: int, hit: int = 0) -> Observation | None:
        """Look at the registers of CPU number `cpu`, which holds those of `task`.

        Returns None if the stub shows no registers, or if all that it shows are initial: hidden
        registers may not be initial.
        """
        size = max(LEGACY_SIZE, *(span.end for span in self._user_spans))
        image = bytearray(_INITIAL.ljust(size, b"\0"))
        for part in placed(shown_registers(self._model, cpu), self._user_spans):
            image[part.at : part.at + len(part.data)] = part.data
        used = self._used(image, self._user_spans, self._model.xstate.user_mask | _X87 | _SSE)
        return Observation(Basis.REGISTERS, used, hit) if used else None

    def state(self, task: Task, hit: int = 0) -> Observation | None:
        """Check whether a kernel that switches lazily has given `task` a state.

        Returns None if this is not known: the kernel may have taken the state away for a signal
        handler. Raises MemoryFault.
        """
        there, flag = self._model.state_there(task.address)
        if there:
            return Observation(Basis.STATE, 1, hit, flag)
        if may_be_in_handler(self._model.kernel, task.address):
            return None
        return Observation(Basis.STATE, 0, hit, f"no {flag}")

    def active(self, task: Task, hit: int) -> Observation | None:
        """Check whether a kernel that switches lazily has given `task` a state; None if not now."""
        there, flag = self._model.state_there(task.address)
        return Observation(Basis.STATE, 1, hit, flag) if there else None

    def add(self, evidence: Evidence, seen: Observation, task: Task) -> Evidence:
        """Return `evidence` about `task` with `seen` added; raise MemoryFault."""
        evidence = evidence.with_(seen)
        if not evidence.wanting():
            return evidence
        doubt = may_be_in_handler(self._model.kernel, task.address, evidence.blocked)
        return evidence.reject() if doubt else evidence.settle()

    def _seen(self, task: Task, basis: Basis, values: int, bits: int, hit: int) -> Observation:
        if values:
            return Observation(basis, values, hit)
        used = bits & self._tracked
        if used:
            return Observation(Basis.HEADER, used, hit)
        kernel = self._model.kernel
        if hit:  # the task has run since its last hit
            return Observation(basis, 0, hit, blocked=blocked(kernel, task.address))
        mask, switches = blocked_and_switches(kernel, task)
        return Observation(basis, 0, blocked=mask, switches=switches)

    def _values(
        self, read: _Read, start: int, size: int, spans: Sequence[Span] = ()
    ) -> tuple[int, int]:
        """Return a mask of components that are not initial in the image at `start`, and XSTATE_BV.

        This stops at the first component that is not initial. Without `spans`, the components are
        where this kernel saves them.
        """
        image, bits = bytearray(_INITIAL.ljust(size, b"\0")), _X87 | _SSE
        first, read_to = self._first(size, spans)
        for at, end in first:
            image[at:end] = read(start + at, end - at)
            if self._model.format != "fxsave":
                bits = int.from_bytes(image[_HEADER], "little")
            used = self._used(image, _LEGACY, bits)
            if used:
                return used, bits
        for span in spans or self._model.spans(bytes(image)):
            wanted = bits & _EXTENDED & ~NOT_FPU
            if wanted >> span.number & 1 and span.end <= size:
                if span.end > read_to:
                    image[span.offset : span.end] = read(start + span.offset, span.size)
                used = self._used(image, (span,), bits)
                if used:
                    return used, bits
        return 0, bits

    def _first(self, size: int, spans: Sequence[Span]) -> tuple[tuple[tuple[int, int], ...], int]:
        """Return the ranges to read first from an image of `size` bytes, and an offset.

        The ranges cover all bytes before that offset. The offset is 0 if the ranges leave gaps.
        `spans` is as for `_values`.
        """
        stub = self._model.kernel.target.stub
        if self._model.format == "fxsave":
            return ((0, _FXSAVE_SIZE),), _FXSAVE_SIZE
        if stub.max_read is None:  # one large read is cheaper than two small ones
            most = min(size, stub.read_run)
            if self._model.format == "compacted" and not spans:  # the header says where they are
                return ((0, most),), most
            ends = (span.end for span in spans or self._model.xstate.spans)
            end = min(most, max((EXTENDED_OFFSET, *(end for end in ends if end <= most))))
            return ((0, end),), end
        return _FIRST, 0

    def _used(self, image: bytearray, spans: Sequence[Span], bits: int) -> int:
        """Return those components of `spans` that are set in `bits` and not initial in `image`.

        A clear bit means the initial state, whatever the bytes are. The only exception is MXCSR: in
        the standard format, it counts even if the bit is clear (SDM volume 1, 13.7).
        """
        image[_POINTERS] = bytes(18)
        xstate = self._model.xstate
        found = changed(bytes(image), spans, xstate.init or None, xstate.spans) & ~NOT_FPU
        if found & _SSE & ~bits and self._model.format != "compacted":
            bare = bytearray(_INITIAL)
            bare[_MXCSR] = image[_MXCSR]
            mxcsr = changed(bytes(bare), _SSE_ALONE, xstate.init or None, xstate.spans)
            return found & bits | mxcsr & _SSE
        return found & bits
