# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine code that stores a pass, in the ring or in the table, while it holds the lock.

It gets the running task in r12, the task that the pass is about in rbx, the function's number in
ecx, the return address in rdi, XSTATE_BV in r8, XCOMP_BV in r9, the flags in r10d, the time in r11.
"""

from __future__ import annotations

from gdbfpu.fast.assembler import Assembler, Condition, Memory, Register
from gdbfpu.fast.layout import Control, Flag, Record, Row
from gdbfpu.fast.places import Places

__all__ = ("NO_ROOM", "OVERFLOW", "control", "into_ring", "into_table")

_RAX, _RCX, _RDX, _RBX = Register.RAX, Register.RCX, Register.RDX, Register.RBX
_R12, _RSI, _RDI = Register.R12, Register.RSI, Register.RDI
_R8, _R9, _R10, _R11 = Register.R8, Register.R9, Register.R10, Register.R11

NO_ROOM, OVERFLOW = "no room", "overflow"
"""Labels, to be placed by the caller: `STOP_AT` is reached; all rows of the table are in use."""

_HALF = 4
_GOLDEN = 0x61C88647  # 32 bits of the golden ratio, as in include/linux/hash.h


def control(offset: int) -> Memory:
    """Return the operand for the control word at `offset`."""
    return Memory(disp=offset, label="control")


def into_ring(asm: Assembler, places: Places, slots: int) -> None:
    """Fill one slot, and a second one if the running task is not the one that is recorded."""
    asm.mov(_RAX, control(Control.HEAD))
    asm.mov(_RDX, _RAX)
    asm.add_value(_RDX, 1)
    asm.compare(_RBX, _R12)
    asm.jump_if(Condition.EQUAL, "one slot")
    asm.add_value(_RDX, 1)
    asm.combine_value(_R10, Flag.OTHER)
    asm.label("one slot")
    asm.compare(_RDX, control(Control.STOP_AT))
    asm.jump_if(Condition.ABOVE, NO_ROOM)
    _slot(asm, slots)
    asm.store(Memory(_RSI, Record.XFEATURES), _R8)
    asm.store(Memory(_RSI, Record.XCOMP_BV), _R9)
    _word(asm, places)
    _identify(asm, places, _RBX)
    asm.compare(_RBX, _R12)
    asm.jump_if(Condition.EQUAL, "filled")
    asm.mov(_RAX, control(Control.HEAD))
    asm.add_value(_RAX, 1)
    _slot(asm, slots)
    _identify(asm, places, _R12)
    asm.label("filled")
    asm.store(control(Control.HEAD), _RDX)


def _slot(asm: Assembler, slots: int) -> None:
    """Put the address of the slot with the number rax into rsi."""
    asm.mask_value(_RAX, slots - 1)
    asm.multiply(_RAX, Record.SIZE)
    asm.lea(_RSI, Memory(label="data"))
    asm.add(_RSI, _RAX)


def _word(asm: Assembler, places: Places) -> None:
    """Store the CPU, the function's number, the flags and the caller."""
    _cpu(asm, places)
    for shift, register in ((16, _RCX), (24, _R10)):
        asm.mov(_R9, register)
        asm.shift_left(_R9, shift)
        asm.combine(_RAX, _R9)
    asm.store(Memory(_RSI, Record.WORD), _RAX, _HALF)
    asm.store(Memory(_RSI, Record.CALLER), _RDI, _HALF)


def _cpu(asm: Assembler, places: Places) -> None:
    """Put the CPU's number into rax."""
    if places.cpu is None:
        asm.load(_RAX, 0)
    else:
        asm.mov(_RAX, places.cpu, _HALF)


def _identify(asm: Assembler, places: Places, task: Register) -> None:
    """Store the time, and which `task` it is, into the slot at rsi."""
    asm.store(Memory(_RSI, Record.TSC), _R11)
    asm.store(Memory(_RSI, Record.TASK), task)
    for offset, member in ((Record.PID, places.pid), (Record.TGID, places.tgid)):
        asm.mov(_RAX, Memory(task, member), _HALF)
        asm.store(Memory(_RSI, offset), _RAX, _HALF)
    _name(asm, places, task, Record.COMM)


def _name(asm: Assembler, places: Places, task: Register, to: int) -> None:
    """Store the name of `task` into the record at rsi, `to` bytes into it."""
    for half in (0, 8):
        asm.mov(_RAX, Memory(task, places.comm + half))
        asm.store(Memory(_RSI, to + half), _RAX)


def into_table(asm: Assembler, places: Places, rows: int) -> None:
    """Add the pass to its row."""
    asm.mov(_RAX, control(Control.HEAD))
    asm.compare(_RAX, control(Control.STOP_AT))
    asm.jump_if(Condition.NOT_BELOW, NO_ROOM)
    asm.mov(_RDX, _RCX)
    asm.shift_left(_RDX, 32)
    asm.mov(_RAX, Memory(_RBX, places.pid), _HALF)
    asm.combine(_RDX, _RAX)
    _find_row(asm, rows)
    _new_row(asm, places, rows)
    asm.label("row")
    asm.increment(control(Control.HEAD))
    asm.increment(Memory(_RSI, Row.HITS))
    asm.mov(_RAX, _R10)
    asm.mask_value(_RAX, Flag.LIVE)
    asm.add(_RAX, Memory(_RSI, Row.LIVE))
    asm.store(Memory(_RSI, Row.LIVE), _RAX)
    asm.combine_memory(Memory(_RSI, Row.FLAGS), _R10, _HALF)
    asm.store(Memory(_RSI, Row.XCOMP_BV), _R9)
    asm.store(Memory(_RSI, Row.LAST), _R11)
    asm.store(Memory(_RSI, Row.CALLER), _RDI, _HALF)
    _cpu(asm, places)
    asm.store(Memory(_RSI, Row.CPU), _RAX, _HALF)
    _name(asm, places, _RBX, Row.COMM)


def _find_row(asm: Assembler, rows: int) -> None:
    """Put the address of the row of task rbx, key rdx and XSTATE_BV r8 into rsi; go to `row`.

    If there is none, go on with the place for it in the index in r12. The index is twice as long
    as the table, so the search ends at a free place.
    """
    asm.mov(_RAX, _RBX)
    asm.shift_right(_RAX, 6)
    asm.add(_RAX, _RDX)
    asm.add(_RAX, _R8)
    asm.multiply(_RAX, _GOLDEN)
    asm.shift_right(_RAX, 16)
    asm.label("search")
    asm.mask_value(_RAX, 2 * rows - 1)
    asm.mov(_RSI, _RAX)
    asm.shift_left(_RSI, 2)
    asm.lea(_R12, Memory(label="index"))
    asm.add(_R12, _RSI)
    asm.mov(_RSI, Memory(_R12), _HALF)
    asm.test(_RSI, _RSI)
    asm.jump_if(Condition.EQUAL, "new row")
    _row_number(asm)
    asm.compare(_RBX, Memory(_RSI, Row.TASK))
    asm.jump_if(Condition.NOT_EQUAL, "next row")
    asm.compare(_RDX, Memory(_RSI, Row.KEY))
    asm.jump_if(Condition.NOT_EQUAL, "next row")
    asm.compare(_R8, Memory(_RSI, Row.XFEATURES))
    asm.jump_if(Condition.EQUAL, "row")
    asm.label("next row")
    asm.add_value(_RAX, 1)
    asm.jump("search")


def _row_number(asm: Assembler) -> None:
    """Replace the number in rsi, counted from 1, by the row's address; r12 changes, too."""
    asm.add_value(_RSI, -1)
    asm.multiply(_RSI, Row.SIZE)
    asm.lea(_R12, Memory(label="data"))
    asm.add(_RSI, _R12)


def _new_row(asm: Assembler, places: Places, rows: int) -> None:
    asm.label("new row")
    asm.mov(_RSI, control(Control.USED))
    asm.compare_value(_RSI, rows)
    asm.jump_if(Condition.NOT_BELOW, OVERFLOW)
    asm.add_value(_RSI, 1)
    asm.store(control(Control.USED), _RSI)
    asm.store(Memory(_R12), _RSI, _HALF)
    _row_number(asm)
    asm.store(Memory(_RSI, Row.TASK), _RBX)
    asm.store(Memory(_RSI, Row.KEY), _RDX)
    asm.store(Memory(_RSI, Row.XFEATURES), _R8)
    asm.store(Memory(_RSI, Row.FIRST), _R11)
    asm.mov(_RAX, Memory(_RBX, places.tgid), _HALF)
    asm.store(Memory(_RSI, Row.TGID), _RAX, _HALF)
