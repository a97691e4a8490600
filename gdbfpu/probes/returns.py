# SPDX-License-Identifier: GPL-2.0-or-later
"""Find where a function returns, to break on every return and resume without a step."""

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
    """Return the places where the function at `address` returns; empty if any is unknown.

    At each place, the registers of the caller and the return value are already set. `code_of`
    returns the code of the whole function at an address, as memory holds it now. `thunk` is the
    address of __x86_return_thunk, which kernels jump to in place of a RET; None if there is none.

    To resume on a RET, we jump to another RET, at `spare`, outside every probed function: KGDB
    does not let a debugger write the stack pointer (dbg_set_reg() in arch/x86/kernel/kgdb.c).

    A function may end with a jump to another function. Then it returns where the other function
    returns. But if the first function also calls the other function, this way out counts as
    unknown. At most `depth` such jumps are followed. If any way out is unknown, the result is
    empty, because we would not see the calls that leave that way.
    """
    return _Exits(code_of, thunk, spare).find(address, depth)


def find_ret(code: bytes, address: int, taken: Iterable[range] = ()) -> int | None:
    """Return the address of a RET in the `code` at `address`, outside all of `taken`, or None."""
    places = (i.address for i in disassembled(code, address) if _is_ret(i))
    return next((at for at in places if not any(at in places for places in taken)), None)


@dataclass(frozen=True)
class _Exits:
    """The arguments of `exits` that are the same for each function on the way."""

    code_of: Callable[[int], bytes]
    thunk: int | None
    spare: int

    def find(self, address: int, depth: int) -> tuple[Resume, ...]:
        """Return where the function at `address` returns; empty if any way out is unknown."""
        code = self.code_of(address)
        instructions = list(disassembled(code, address))
        if sum(i.size for i in instructions) < len(code):
            return ()  # the rest of the code cannot be decoded
        called = {_target(i) for i in instructions if i.group(x86.X86_GRP_CALL)}
        inside = range(address, address + len(code))
        found: list[Resume] = []
        for instruction in instructions:
            if _leaves(instruction, inside):
                more = self._follow(instruction, called, depth)
                if not more:
                    return ()
                found += more
        return tuple(dict.fromkeys(found))

    def _follow(self, leaving: Any, called: set[int | None], depth: int) -> tuple[Resume, ...]:
        """Return where a call that leaves by this instruction returns; empty if unknown."""
        if _is_ret(leaving):
            return (Resume(leaving.address, self.spare, "ret"),)
        if _returns(leaving):  # RET with an operand, far RET or IRET
            return ()
        effect = effect_of(leaving)
        if effect is not None and effect.next_pc == self.thunk:
            return (effect,)
        target = _target(leaving)
        if not depth or target is None or target in called:
            return ()
        return self.find(target, depth - 1)


def _leaves(instruction: Any, inside: range) -> bool:
    """Return whether this may leave for good the function whose addresses are `inside`."""
    if _returns(instruction):
        return True
    return _jumps(instruction) and _target(instruction) not in inside


def _returns(instruction: Any) -> bool:
    return bool(instruction.group(x86.X86_GRP_RET) or instruction.group(x86.X86_GRP_IRET))


def _is_ret(instruction: Any) -> bool:
    return bool(instruction.id == x86.X86_INS_RET and not instruction.operands)


def _jumps(instruction: Any) -> bool:
    """Return whether this is a jump and not a call; capstone does not class LOOP as a jump."""
    relative = instruction.group(x86.X86_GRP_BRANCH_RELATIVE)
    called = instruction.group(x86.X86_GRP_CALL)
    return bool(instruction.group(x86.X86_GRP_JUMP) or (relative and not called))


def _target(instruction: Any) -> int | None:
    """Return the target of a direct jump or call, or None if it is indirect."""
    operand = instruction.operands[0]
    return operand.imm & _U64 if operand.type == x86.X86_OP_IMM else None
