# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a function returns, so that a breakpoint there sees each return and steps over none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Callable

from capstone import x86_const as x86

from gdbfpu.probes.resume import Resume, disassembled, effect_of

__all__ = ("exits", "find_ret")

_U64 = (1 << 64) - 1


def exits(
    code_of: Callable[[int], bytes], address: int, thunk: int | None, spare: int, depth: int = 2
) -> tuple[Resume, ...]:
    """Return the places where the function that begins at `address` returns.

    `code_of` gives a whole function's code as memory holds it now, `thunk` is the address of
    __x86_return_thunk, to which kernels jump in place of a RET (None where there is none). The
    caller's registers and the return value are in place there. A RET is left by way of the one
    at `spare`, which does the same: KGDB does not let a debugger write the stack pointer
    (dbg_set_reg() in arch/x86/kernel/kgdb.c). A function that leaves by a jump to another one
    returns where that does, if it does not call it, too; `depth` such jumps are followed. Empty
    unless every way out is one of these: a call that leaves by another would not be seen.
    """
    return _Exits(code_of, thunk, spare).of(address, depth)


def find_ret(code: bytes, address: int, taken: Iterable[range] = ()) -> int | None:
    """Return the address of a RET in the `code` at `address`, in none of `taken`, or None."""
    places = (i.address for i in disassembled(code, address) if _is_ret(i))
    return next((at for at in places if not any(at in places for places in taken)), None)


@dataclass(frozen=True)
class _Exits:
    """What `exits` is given, for each function that it comes to."""

    code_of: Callable[[int], bytes]
    thunk: int | None
    spare: int

    def of(self, address: int, depth: int) -> tuple[Resume, ...]:
        """Return where the function at `address` returns, empty where not all of it is known."""
        code = self.code_of(address)
        instructions = list(disassembled(code, address))
        if sum(i.size for i in instructions) < len(code):
            return ()  # there is more behind what can be decoded, unseen
        called = {_target(i) for i in instructions if i.group(x86.X86_GRP_CALL)}
        inside = range(address, address + len(code))
        found: list[Resume] = []
        for instruction in instructions:
            if _leaves(instruction, inside):
                more = self._way(instruction, called, depth)
                if not more:
                    return ()
                found += more
        return tuple(dict.fromkeys(found))

    def _way(self, leaving: Any, called: set[int | None], depth: int) -> tuple[Resume, ...]:
        """Return where a call returns that leaves by this instruction, empty if unknown."""
        if _is_ret(leaving):
            return (Resume(leaving.address, self.spare, "ret"),)
        if _returns(leaving):  # another form of it
            return ()
        effect = effect_of(leaving)
        if effect is not None and effect.next_pc == self.thunk:
            return (effect,)
        target = _target(leaving)
        if not depth or target is None or target in called:
            return ()
        return self.of(target, depth - 1)


def _leaves(instruction: Any, inside: range) -> bool:
    """Return whether control may leave the function for good; `inside` are its addresses."""
    if _returns(instruction):
        return True
    return _jumps(instruction) and _target(instruction) not in inside


def _returns(instruction: Any) -> bool:
    return bool(instruction.group(x86.X86_GRP_RET) or instruction.group(x86.X86_GRP_IRET))


def _is_ret(instruction: Any) -> bool:
    return bool(instruction.id == x86.X86_INS_RET and not instruction.operands)


def _jumps(instruction: Any) -> bool:
    """Return whether control may go elsewhere for good (LOOP is no jump to capstone)."""
    relative = instruction.group(x86.X86_GRP_BRANCH_RELATIVE)
    called = instruction.group(x86.X86_GRP_CALL)
    return bool(instruction.group(x86.X86_GRP_JUMP) or (relative and not called))


def _target(instruction: Any) -> int | None:
    """Return where a direct jump or call leads, None for one through a register or memory."""
    operand = instruction.operands[0]
    return operand.imm & _U64 if operand.type == x86.X86_OP_IMM else None
