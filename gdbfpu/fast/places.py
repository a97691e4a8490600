# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the words of a record are in this kernel, as operands of machine code."""

from __future__ import annotations

from dataclasses import dataclass

from gdbfpu.fast.assembler import Memory
from gdbfpu.fpu.model import FpuModel
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts.types import Member
from gdbfpu.xsave.area import HEADER_OFFSET

__all__ = ("Header", "Places", "read_places")

_U64 = 1 << 64


@dataclass(frozen=True)
class Header:
    """The way from a task_struct to its XSAVE header. Offsets are in bytes.

    Without `pointers`, the header is `offset` bytes into the task_struct. Otherwise it is `offset`
    bytes behind the first of the `pointers`, members of the task_struct, that is not NULL.
    """

    offset: int
    pointers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Places:
    """What the recorder reads.

    - `current`, `cpu`: the running task and the number of the CPU; `cpu` is None with one CPU.
    - `pid`, `tgid`, `comm`, `flags`: offsets of the members of task_struct.
    - `fpu_offset`: bytes from a task_struct to its struct fpu.
    - `header`: None without XSAVE.
    - `live`: the offset from task_struct of what says that the CPU has the registers, its size in
      bytes, and the bit to test, None for any. `live_if` says whether a set bit means that.
    - `active`: offset and size of what says that the task has a state; None if every task has one.
    """

    current: Memory
    cpu: Memory | None
    pid: int
    tgid: int
    comm: int
    flags: int
    fpu_offset: int
    header: Header | None
    live: tuple[int, int, int | None]
    live_if: bool
    active: tuple[int, int] | None


def read_places(model: FpuModel) -> Places:
    """Return the places of the kernel of `model`; raise MissingSymbol or MissingMember."""
    kernel = model.kernel
    offset = kernel.layouts.offset
    several = kernel.target.symbol_address("__per_cpu_offset") is not None
    return Places(
        current=_per_cpu(kernel, kernel.current_task_place(0)),
        cpu=_per_cpu(kernel, kernel.cpu_number_place(0)) if several else None,
        pid=offset("task_struct", "pid"),
        tgid=offset("task_struct", "tgid"),
        comm=offset("task_struct", "comm"),
        flags=offset("task_struct", "flags"),
        fpu_offset=model.fpu_offset,
        header=_header(model),
        live=_live(model),
        live_if=bool(model.live_flag),
        active=_active(model),
    )


def _per_cpu(kernel: Kernel, place: int) -> Memory:
    """Return the operand for the per-CPU variable that CPU 0 has at `place`."""
    several = kernel.target.symbol_address("__per_cpu_offset") is not None
    disp = (place - kernel.cpu_offsets[0]) % _U64
    return Memory(disp=disp - (_U64 if disp >> 63 else 0), gs=several)


def _header(model: FpuModel) -> Header | None:
    if model.format == "fxsave":
        return None
    if not model.state.pointer:
        return Header(model.fpu_offset + model.state.offset + HEADER_OFFSET)
    members = (model.host, model.state)  # that of the task itself while a guest's is in place
    pointers = tuple(model.fpu_offset + member.offset for member in members if member)
    return Header(model.regs_offset + HEADER_OFFSET, pointers)


def _live(model: FpuModel) -> tuple[int, int, int | None]:
    if model.live_flag:
        return (*_in_task(model, model.flags[model.live_flag]), None)
    flags = model.kernel.layouts.offset("task_struct", "thread_info.flags")
    return flags, 4, model.tif


def _active(model: FpuModel) -> tuple[int, int] | None:
    if model.switching == "eager":
        return None
    return _in_task(model, model.flags.get("fpstate_active") or model.state)


def _in_task(model: FpuModel, member: Member) -> tuple[int, int]:
    """Return where the `member` of struct fpu is in a task_struct, and its size."""
    return model.fpu_offset + member.offset, member.size
