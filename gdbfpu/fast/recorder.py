# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine code that records a pass: the part that all functions share.

It runs with interrupts off. A trampoline calls it with the running task in r12, the task that the
pass is about in rbx, the function's number in ecx and the return address in rdi; it may change all
registers that the trampoline saves. A lock, held for some fifty instructions, keeps CPUs apart. A
CPU that does not get it in the end counts its pass as lost: the one that has it may be stopped for
ever, as all but one are in a panic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbfpu.fast.assembler import Assembler, Condition, Memory, Register
from gdbfpu.fast.layout import Area, Control, Flag
from gdbfpu.fast.places import Header, Places
from gdbfpu.fast.storing import NO_ROOM, OVERFLOW, control, into_ring, into_table
from gdbfpu.kernel.tasks import PF_KTHREAD

__all__ = ("FULL", "RETRY", "Filters", "Name", "assemble_full", "assemble_recorder")

_RAX, _RCX, _RDX, _RBX = Register.RAX, Register.RCX, Register.RDX, Register.RBX
_R12, _RSI = Register.R12, Register.RSI
_R8, _R9, _R10, _R11 = Register.R8, Register.R9, Register.R10, Register.R11

FULL, RETRY = "full", "retry"
"""Labels: where a debugger stops a pass that finds no room, and from where it tries again."""

_HALF, _FXSAVE = 4, 0b11  # an FXSAVE image always has x87 and SSE
_TRIES = 1 << 22  # to take the lock: half a second on a CPU of today, some seconds in QEMU's TCG
_LOST = "lost"


@dataclass(frozen=True)
class Name:
    """The `value` that a task's name has, as a u128, in the bits that are set in `mask`."""

    value: int
    mask: int


@dataclass(frozen=True)
class Filters:
    """The tasks to record: those with one of `pids` and one of `names`; empty: all."""

    pids: tuple[int, ...] = ()
    names: tuple[Name, ...] = ()


def assemble_recorder(
    asm: Assembler, places: Places, area: Area, filters: Filters, *, header: bool
) -> None:
    """Append the recorder, which begins at the label `record`.

    Without `header` it does not read the XSAVE header.
    """
    for name, address in (("control", area.control), ("data", area.data), ("index", area.index)):
        asm.label(name, address)
    asm.label("record")
    _filter_pids(asm, places, filters.pids)
    _filter_names(asm, places, filters.names)
    _read_state(asm, places, header=header)
    _read_clock(asm)
    _take_lock(asm)
    if area.slots:
        into_ring(asm, places, area.slots)
    else:
        into_table(asm, places, area.rows)
    _count(asm)
    _leave(asm)
    asm.label(OVERFLOW)  # with `lock`, since CPUs count at `full` without ours
    asm.increment(control(Control.LOST), lock=True)
    _leave(asm)


def _filter_pids(asm: Assembler, places: Places, pids: Sequence[int]) -> None:
    if not pids:
        return
    asm.mov(_RAX, Memory(_RBX, places.pid), _HALF)
    for pid in pids:
        asm.compare_value(_RAX, pid)
        asm.jump_if(Condition.EQUAL, "this pid")
    _pass_by(asm)
    asm.label("this pid")


def _filter_names(asm: Assembler, places: Places, names: Sequence[Name]) -> None:
    if not names:
        return
    comm = Memory(_RBX, places.comm)
    for number, name in enumerate(names):
        for half in (0, 8):
            value, mask = (n >> 8 * half & (1 << 64) - 1 for n in (name.value, name.mask))
            asm.mov(_RAX, comm.at(half))
            asm.load(_RDX, mask)
            asm.mask(_RAX, _RDX)
            asm.load(_RDX, value)
            asm.compare(_RAX, _RDX)
            asm.jump_if(Condition.NOT_EQUAL, f"not name {number}")
        asm.jump("this name")
        asm.label(f"not name {number}")
    _pass_by(asm)
    asm.label("this name")


def _pass_by(asm: Assembler) -> None:
    asm.increment(control(Control.FILTERED), lock=True)
    asm.simple("ret")


def _read_state(asm: Assembler, places: Places, *, header: bool) -> None:
    """Put XSTATE_BV and XCOMP_BV into r8 and r9, the flags into r10d."""
    for register in (_R8, _R9, _R10):
        asm.load(register, 0)
    asm.test_value(Memory(_RBX, places.flags), PF_KTHREAD)
    asm.jump_if(Condition.EQUAL, "a user task")
    asm.load(_R10, Flag.KTHREAD)
    asm.jump("state read")
    asm.label("a user task")
    if places.active is not None:
        _set_if(asm, Flag.ACTIVE, *places.active)
    asm.compare(_RBX, _R12)
    asm.jump_if(Condition.NOT_EQUAL, "not live")
    _set_live(asm, places)
    asm.label("not live")
    if header:
        _read_header(asm, places.header)
    asm.label("state read")


def _set_if(asm: Assembler, flag: Flag, offset: int, size: int) -> None:
    """Set `flag` if the member of `size` bytes at `offset` in the task is not 0."""
    place = Memory(_RBX, offset)
    if size == 1:
        asm.load_byte(_RAX, place)
    else:
        asm.mov(_RAX, place, size)
    asm.test(_RAX, _RAX)
    asm.jump_if(Condition.EQUAL, f"no {flag.name}")
    asm.combine_value(_R10, flag)
    asm.label(f"no {flag.name}")


def _set_live(asm: Assembler, places: Places) -> None:
    offset, size, bit = places.live
    if bit is None:
        _set_if(asm, Flag.LIVE, offset, size)
        return
    asm.test_value(Memory(_RBX, offset), 1 << bit)
    asm.jump_if(Condition.NOT_EQUAL if not places.live_if else Condition.EQUAL, "not live")
    asm.combine_value(_R10, Flag.LIVE)


def _read_header(asm: Assembler, header: Header | None) -> None:
    if header is None:
        asm.combine_value(_R10, Flag.HEADER)
        asm.load(_R8, _FXSAVE)
        return
    start = Memory(_RBX, header.offset)
    if header.pointers:
        for pointer in header.pointers:
            asm.mov(_RSI, Memory(_RBX, pointer))
            asm.test(_RSI, _RSI)
            asm.jump_if(Condition.NOT_EQUAL, "an image")
        asm.jump("state read")
        asm.label("an image")
        start = Memory(_RSI, header.offset)
    asm.combine_value(_R10, Flag.HEADER)
    asm.mov(_R8, start)
    asm.mov(_R9, start.at(8))


def _read_clock(asm: Assembler) -> None:
    """Put the time-stamp counter into r11."""
    asm.simple("rdtsc")
    asm.shift_left(_RDX, 32)
    asm.mov(_R11, _RAX)
    asm.combine(_R11, _RDX)


def _take_lock(asm: Assembler) -> None:
    asm.label(RETRY)
    asm.load(_RDX, _TRIES)
    asm.label("try")
    asm.load(_RAX, 1)
    asm.swap(_RAX, control(Control.LOCK))
    asm.test(_RAX, _RAX, _HALF)
    asm.jump_if(Condition.EQUAL, "locked")
    asm.simple("pause")
    asm.add_value(_RDX, -1)
    asm.jump_if(Condition.NOT_EQUAL, "try")
    asm.jump(_LOST)
    asm.label("locked")


def _leave(asm: Assembler) -> None:
    asm.store_value(control(Control.LOCK), 0)
    asm.simple("ret")


def _count(asm: Assembler) -> None:
    asm.lea(_RAX, control(Control.PASSES))
    asm.shift_left(_RCX, 3)
    asm.add(_RAX, _RCX)
    asm.increment(Memory(_RAX))


def assemble_full(asm: Assembler) -> None:
    """Append what a pass without room does: it counts itself as lost.

    A debugger can stop it at the `nop` before, and have it try again later.
    """
    asm.label(NO_ROOM)
    asm.store_value(control(Control.LOCK), 0)
    asm.label(FULL)
    asm.simple("nop")
    asm.label(_LOST)
    asm.increment(control(Control.LOST), lock=True)
    asm.simple("ret")
