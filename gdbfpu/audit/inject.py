# SPDX-License-Identifier: GPL-2.0-or-later
"""Plant a defect for a rule to find in the memory of a test machine, and restore the memory.

No other part of gdbfpu writes to a kernel's memory. An emulated CPU (QEMU's TCG) marks nearly all
components as in use at each save. There, only planted defects can show that the rules work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from gdbfpu.audit.legacy import leaves_pointers
from gdbfpu.audit.snapshot import Snapshot, TaskView
from gdbfpu.errors import UsageError
from gdbfpu.fpu.registers import owner
from gdbfpu.layouts.types import Member
from gdbfpu.target import Memory
from gdbfpu.xsave.area import (
    COMPACTED,
    EXTENDED_OFFSET,
    HEADER_OFFSET,
    RESERVED_OFFSET,
    XCOMP_OFFSET,
    Span,
    in_use,
)
from gdbfpu.xsave.features import AVX, CET_U, FPSSE, PKRU, TILEDATA
from gdbfpu.xsave.legacy import FIP_OFFSET, MXCSR_OFFSET, SW_RESERVED_OFFSET, parse_mxcsr
from gdbfpu.xsave.sigframe import parse_frame

__all__ = ("FRAME_WRITES", "WRITES", "Writable", "Write", "frame_writes", "planted", "writes_for")

_PATTERN = b"\xa5\x5a\xc3\x3c"
_KERNEL_ADDRESS = b"\x78\x56\x34\x12\xff\xff\xff\xff"


class Writable(Memory, Protocol):
    """Memory that can be written."""

    def write_memory(self, address: int, data: bytes) -> None:
        """Write `data` at `address`; raise MemoryFault."""


@dataclass(frozen=True)
class Write:
    """Bytes to write at an address."""

    address: int
    data: bytes


def writes_for(snapshot: Snapshot, rule: str, view: TaskView) -> tuple[Write, ...]:
    """Return what to write so that `rule` finds a defect of `view`'s task.

    Raises UsageError if there is no such rule, or if this kernel or task cannot have the defect.
    """
    make = WRITES.get(rule)
    if make is None and rule in FRAME_WRITES:
        raise UsageError(f"{rule} is a rule on signal frames: add --sigframe ADDRESS")
    if make is None:
        raise UsageError(f"cannot plant a defect for {rule!r}; choose one of: {', '.join(WRITES)}")
    if not view.image:
        raise UsageError("the task has no FPU state in memory to plant a defect in")
    return tuple(make(snapshot, view))


def frame_writes(rule: str, address: int, image: bytes) -> tuple[Write, ...]:
    """Return what to write to the frame `image` at user `address` so that `rule` finds a defect."""
    make = FRAME_WRITES.get(rule)
    if make is None:
        raise UsageError(
            f"cannot plant {rule!r} in a frame; choose one of: {', '.join(FRAME_WRITES)}"
        )
    frame = parse_frame(image)
    if rule == "FRAME32" and not frame.ia32:
        raise _refusal("this is the frame of a 64-bit task")
    place, data = make(image, frame.base, frame.xstate_size)
    return (Write(address + place, data),)


@contextmanager
def planted(target: Writable, writes: Sequence[Write]) -> Iterator[None]:
    """Keep `writes` in memory for a block of code, then restore what was there before."""
    undo: list[Write] = []
    try:
        for write in writes:
            undo.append(Write(write.address, target.read_memory(write.address, len(write.data))))
            target.write_memory(write.address, write.data)
        yield
    finally:
        for write in reversed(undo):
            target.write_memory(write.address, write.data)


def _refusal(why: str) -> UsageError:
    return UsageError(f"cannot plant this defect here: {why}")


def _header(view: TaskView, xfeatures: int) -> Write:
    return Write(view.at + HEADER_OFFSET, xfeatures.to_bytes(8, "little"))


def _xfeatures(view: TaskView) -> int:
    if view.header is None:
        raise _refusal("the kernel saves with FXSAVE, which has no header")
    return view.header.xfeatures


def _span(snapshot: Snapshot, view: TaskView, number: int) -> Span:
    for span in snapshot.spans(view.image):
        if span.number == number:
            return span
    raise _refusal(f"the kernel does not save component {number}")


def _stale(snapshot: Snapshot, view: TaskView) -> list[Write]:
    span = _span(snapshot, view, AVX)
    data = (_PATTERN * span.size)[: span.size]
    return [_header(view, _xfeatures(view) & ~(1 << AVX)), Write(view.at + span.offset, data)]


def _xcomp(snapshot: Snapshot, view: TaskView) -> list[Write]:
    _xfeatures(view)
    if snapshot.model.format == "compacted":
        return [Write(view.at + RESERVED_OFFSET, b"\1")]
    return [Write(view.at + XCOMP_OFFSET, (COMPACTED | 7).to_bytes(8, "little"))]


def _xcomp2(snapshot: Snapshot, view: TaskView) -> list[Write]:
    if snapshot.model.format != "compacted":
        raise _refusal("the kernel saves in the standard format")
    return [Write(view.at + XCOMP_OFFSET + 7, b"\0")]


def _supv(snapshot: Snapshot, view: TaskView) -> list[Write]:
    if snapshot.model.format == "compacted":
        raise _refusal("a compacted area may have supervisor components")
    return [_header(view, _xfeatures(view) | 1 << CET_U)]


def _size(snapshot: Snapshot, view: TaskView) -> list[Write]:
    member = snapshot.model.size_member
    if member is None or not _uses_more(view):
        raise _refusal("no member says how large the area is, or nothing above SSE is in use")
    start = view.at - snapshot.model.regs_offset
    return [Write(start + member.offset, EXTENDED_OFFSET.to_bytes(member.size, "little"))]


def _uses_more(view: TaskView) -> bool:
    """Return whether the header has a component other than x87 and SSE."""
    return view.header is not None and in_use(view.header) > FPSSE


def _sanoff(snapshot: Snapshot, view: TaskView) -> list[Write]:
    if not snapshot.has("__sanitize_i387_state"):
        raise _refusal("the kernel does not sanitize at standard offsets")
    return [Write(view.at + XCOMP_OFFSET + 7, b"\x80")]


def _mxcsr(_snapshot: Snapshot, view: TaskView) -> list[Write]:
    value = parse_mxcsr(view.image)[0] | 1 << 31
    return [Write(view.at + MXCSR_OFFSET, value.to_bytes(4, "little"))]


def _amdfip(snapshot: Snapshot, view: TaskView) -> list[Write]:
    if not leaves_pointers(snapshot):
        raise _refusal("these CPUs always save the x87 pointers")
    return [Write(view.at + FIP_OFFSET, _KERNEL_ADDRESS)]


def _initbuf(snapshot: Snapshot, _view: TaskView) -> list[Write]:
    if not snapshot.model.xstate.init_address:
        raise _refusal("the kernel has no init_fpstate")
    return [Write(snapshot.model.xstate.init_address, bytes(2))]


def _member(snapshot: Snapshot, struct: str, name: str) -> Member:
    member = snapshot.model.kernel.layouts.find(struct, name)
    if member is None:
        raise _refusal(f"struct {struct} has no {name}")
    return member


def _flags(snapshot: Snapshot, view: TaskView) -> list[Write]:
    if view.cpu is not None:
        raise _refusal("the task is running: choose one that sleeps")
    return [Write(view.fpu + _member(snapshot, "fpu", "fpregs_active").offset, b"\1")]


def _loaded(view: TaskView) -> int:
    if view.cpu is None or not view.loaded:
        raise _refusal("no CPU holds the task's registers: stop the kernel while the task runs")
    return view.cpu


def _owner(snapshot: Snapshot, view: TaskView) -> list[Write]:
    cpu = _loaded(view)
    found = owner(snapshot.model, cpu)
    if found is None:
        raise _refusal("the kernel has no fpu_fpregs_owner_ctx")
    return [Write(snapshot.model.kernel.per_cpu(found.variable, cpu), _KERNEL_ADDRESS)]


def _twice(snapshot: Snapshot, view: TaskView) -> list[Write]:
    kernel = snapshot.model.kernel
    others = [cpu for cpu in kernel.online_cpus() if cpu != view.cpu]
    if view.cpu is None or not others:
        raise _refusal("no CPU runs the task, or there is no second CPU")
    place = kernel.current_task_place(others[-1])
    return [Write(place, view.task.address.to_bytes(8, "little"))]


def _kernfpu(snapshot: Snapshot, view: TaskView) -> list[Write]:
    cpu = _loaded(view)
    if snapshot.model.live_flag:
        raise _refusal("the kernel has no TIF_NEED_FPU_LOAD")
    for name, value in (("in_kernel_fpu", b"\1"), ("kernel_fpu_allowed", b"\0")):
        if snapshot.has(name):
            return [Write(snapshot.model.kernel.per_cpu(name, cpu), value)]
    raise _refusal("the kernel has no in_kernel_fpu")


def _fpstate(snapshot: Snapshot, view: TaskView, name: str, value: int) -> list[Write]:
    member = _member(snapshot, "fpstate", name)
    place = view.at - snapshot.model.regs_offset + member.offset
    data = snapshot.model.kernel.target.read_memory(place, member.size)
    bits = value << (member.bit_offset or 0)
    return [Write(place, (int.from_bytes(data, "little") | bits).to_bytes(member.size, "little"))]


def _perm(snapshot: Snapshot, view: TaskView) -> list[Write]:
    return _fpstate(snapshot, view, "user_xfeatures", 1 << TILEDATA)


def _amxbuf(snapshot: Snapshot, view: TaskView) -> list[Write]:
    return _fpstate(snapshot, view, "is_valloc", 1)


def _xfd3(snapshot: Snapshot, view: TaskView) -> list[Write]:
    if not _uses_more(view):
        raise _refusal("the task has nothing above SSE in use")
    return _fpstate(snapshot, view, "xfd", 1 << AVX)


def _guest(snapshot: Snapshot, view: TaskView) -> list[Write]:
    start = view.at - snapshot.model.regs_offset
    member = _member(snapshot, "fpu", "__task_fpstate")
    return [Write(view.fpu + member.offset, start.to_bytes(8, "little"))]


def _pkru0(snapshot: Snapshot, view: TaskView) -> list[Write]:
    if snapshot.pkru_moved or not snapshot.has("init_pkru_value"):
        raise _refusal("PKRU is in thread.pkru, or the kernel does not support protection keys")
    span = _span(snapshot, view, PKRU)
    return [_header(view, _xfeatures(view) & ~(1 << PKRU)), Write(view.at + span.offset, bytes(4))]


WRITES: dict[str, Callable[[Snapshot, TaskView], list[Write]]] = {
    "STALE": _stale,
    "XCOMP": _xcomp,
    "XCOMP2": _xcomp2,
    "SUPV": _supv,
    "SIZE": _size,
    "SANOFF": _sanoff,
    "MXCSR": _mxcsr,
    "AMDFIP": _amdfip,
    "INITBUF": _initbuf,
    "FLAGS": _flags,
    "OWNER": _owner,
    "TWICE": _twice,
    "KERNFPU": _kernfpu,
    "PERM": _perm,
    "AMXBUF": _amxbuf,
    "XFD3": _xfd3,
    "GUEST": _guest,
    "PKRU0": _pkru0,
}
"""For each rule on tasks, CPUs or the kernel, the function that returns what to write."""

FRAME_WRITES: dict[str, Callable[[bytes, int, int], tuple[int, bytes]]] = {
    "FRAME": lambda _image, base, size: (base + size, bytes(4)),
    "FRAME32": lambda _image, base, _size: (base + SW_RESERVED_OFFSET, bytes(4)),
    "FRAMESTALE": lambda image, base, _size: (
        base + HEADER_OFFSET,
        bytes([image[base + HEADER_OFFSET] & ~4]),
    ),
    "SUPV": lambda image, base, _size: (
        base + HEADER_OFFSET + 1,
        bytes([image[base + HEADER_OFFSET + 1] | 8]),
    ),
}
"""For each rule on frames, the function that returns where and what to write.

The function takes the frame's image, base and xstate_size."""
