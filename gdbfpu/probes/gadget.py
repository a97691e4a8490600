# SPDX-License-Identifier: GPL-2.0-or-later
"""Find a call through a register in code that nobody runs, to have a stopped CPU call a function.

KGDB does not let a debugger write rsp, so a debugger cannot push a return address. A call that the
kernel has already pushes it. With retpolines, the call goes to a thunk for the register.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from capstone import x86_const as x86

from gdbfpu.probes.resume import disassembled

__all__ = ("IDLE_FUNCTIONS", "THUNK", "Gadget", "find_gadget")

IDLE_FUNCTIONS = ("syscore_shutdown", "device_shutdown", "kernel_power_off", "kernel_restart")
"""Functions with such calls. They run only while the machine goes down."""

THUNK = "__x86_indirect_thunk_"
"""How the name of a register's thunk begins."""

_USABLE = frozenset(("rax", "rbx", "rbp", *(f"r{n}" for n in range(10, 16))))  # no argument


class Gadget(NamedTuple):
    """A call of the function whose address is in `register`; `back` is where it returns to."""

    address: int
    back: int
    register: str


def find_gadget(code: bytes, address: int, thunks: Mapping[int, str]) -> Gadget | None:
    """Return the first such call in the `code` at `address`, None if there is none.

    `thunks` are the addresses of thunks, each with its register.
    """
    for one in disassembled(code, address):
        if one.id != x86.X86_INS_CALL:
            continue
        (operand,) = one.operands
        register = ""
        if operand.type == x86.X86_OP_REG:
            register = one.reg_name(operand.reg)
        elif operand.type == x86.X86_OP_IMM:
            register = thunks.get(operand.imm & ((1 << 64) - 1), "")
        if register in _USABLE:
            return Gadget(one.address, one.address + one.size, register)
    return None
