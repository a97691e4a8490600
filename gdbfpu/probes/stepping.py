# SPDX-License-Identifier: GPL-2.0-or-later
"""Which instructions a CPU can step over with interrupts off, as if they were on."""

from __future__ import annotations

from typing import Any

from capstone import x86_const as x86

from gdbfpu.probes.resume import disassembled

__all__ = ("can_step",)

_HARMLESS = frozenset(
    (
        *(x86.X86_INS_PUSH, x86.X86_INS_POP, x86.X86_INS_MOV, x86.X86_INS_MOVZX),
        *(x86.X86_INS_MOVSX, x86.X86_INS_MOVSXD, x86.X86_INS_LEA, x86.X86_INS_XCHG),
        *(x86.X86_INS_ADD, x86.X86_INS_SUB, x86.X86_INS_AND, x86.X86_INS_OR, x86.X86_INS_XOR),
        *(x86.X86_INS_CMP, x86.X86_INS_TEST, x86.X86_INS_NEG, x86.X86_INS_NOT),
        *(x86.X86_INS_INC, x86.X86_INS_DEC, x86.X86_INS_SHL, x86.X86_INS_SHR, x86.X86_INS_SAR),
        *(x86.X86_INS_CALL, x86.X86_INS_JMP, x86.X86_INS_NOP, x86.X86_INS_ENDBR64),
    )
)
"""Instructions that neither read nor write RFLAGS.IF and TF, and are done in one step."""

_BASES = ("rsp", "rbp", "rip")  # memory that is there: the stack and the kernel's variables


def can_step(code: bytes, address: int) -> bool:
    """Return whether a CPU can step over the instruction that the `code` at `address` begins with.

    What could fault is left out, such as a load from an address that a register has.
    """
    one = next(disassembled(code, address), None)
    if one is None or one.id not in _HARMLESS:
        return False
    return not one.group(x86.X86_GRP_PRIVILEGE) and all(_is_there(one, o) for o in one.operands)


def _is_there(instruction: Any, operand: Any) -> bool:
    """Return whether `operand` is a general register, a number, or memory that is there."""
    if operand.type == x86.X86_OP_REG:
        segments = (x86.X86_REG_SS, x86.X86_REG_DS, x86.X86_REG_ES, x86.X86_REG_FS, x86.X86_REG_GS)
        return operand.reg not in segments
    if operand.type != x86.X86_OP_MEM or instruction.id in (x86.X86_INS_LEA, x86.X86_INS_NOP):
        return True
    memory = operand.mem
    if memory.segment == x86.X86_REG_GS and not memory.base:
        return True
    return instruction.reg_name(memory.base) in _BASES if memory.base else False
