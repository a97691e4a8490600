# SPDX-License-Identifier: GPL-2.0-or-later
"""Choose the bytes at a function's entry that a jump replaces, and how to execute them elsewhere.

The jump takes five bytes. It replaces whole instructions, and nothing may jump between them. A
relative jump or call can only be the last of them, where it is written anew. If it is the first, it
is not the function's own: ftrace or a kprobe has diverted the function already.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from capstone import x86_const as x86

from gdbfpu.errors import UsageError
from gdbfpu.probes.resume import disassembled

__all__ = ("JUMP", "Window", "find_window")

JUMP = 5
"""The number of bytes of `jmp rel32`."""

_ENDBR64 = 4  # bytes
_JMP32, _JMP8, _CALL32 = 0xE9, 0xEB, 0xE8
_U64 = (1 << 64) - 1
_PLAIN = frozenset(  # they neither leave, nor fault in a way that depends on their address
    (
        x86.X86_INS_ADD, x86.X86_INS_AND, x86.X86_INS_CMP, x86.X86_INS_DEC, x86.X86_INS_INC,
        x86.X86_INS_LEA, x86.X86_INS_MOV, x86.X86_INS_MOVABS, x86.X86_INS_MOVSX,
        x86.X86_INS_MOVSXD, x86.X86_INS_MOVZX, x86.X86_INS_NEG, x86.X86_INS_NOP,
        x86.X86_INS_NOT, x86.X86_INS_OR, x86.X86_INS_POP, x86.X86_INS_PUSH, x86.X86_INS_SAR,
        x86.X86_INS_SHL, x86.X86_INS_SHR, x86.X86_INS_SUB, x86.X86_INS_TEST,
        x86.X86_INS_XCHG, x86.X86_INS_XOR,
    )
)  # fmt: skip


@dataclass(frozen=True)
class Window:
    """The instructions from `address` on that make room for a jump, as memory has them in `code`.

    `plain` are the bytes of those that can be executed anywhere. A relative jump or call may
    follow: `leaves` is its target, and `calls` says that it is a call.
    """

    address: int
    code: bytes
    plain: bytes
    instructions: int
    leaves: int | None = None
    calls: bool = False

    @property
    def end(self) -> int:
        """Return the address of the first instruction that stays in place."""
        return self.address + len(self.code)

    @property
    def inside(self) -> range:
        """Return the addresses where a CPU may stand that is between two of the instructions."""
        return range(self.address + 1, self.end)


def find_window(code: bytes, address: int) -> Window:
    """Return the window of the function with `code`, all of it as memory has it, at `address`.

    Raises UsageError if no jump may be written there: the reason, without the function's name.
    """
    instructions = list(disassembled(code, address))
    known = sum(one.size for one in instructions)
    if known < len(code):  # a jump back may be in the rest
        raise UsageError(f"its byte {known:#x} begins no instruction that capstone knows")
    skipped = list(takewhile(_landing, instructions))
    start = address + sum(one.size for one in skipped)
    chosen: list[Any] = []
    for one in instructions[len(skipped) :]:
        _check(one)
        if _relative(one) and not chosen:
            raise UsageError("its first instruction is a jump or a call: ftrace or a kprobe has it")
        chosen.append(one)
        if sum(each.size for each in chosen) >= JUMP or _relative(one):
            break
    size = sum(each.size for each in chosen)
    if size < JUMP:
        raise UsageError(f"its first {size} bytes leave no room for a jump of {JUMP}")
    window = _window(code[start - address :][:size], start, chosen)
    jumps = {t for one in instructions if (t := _target(one)) is not None}
    if any(target in window.inside for target in jumps):
        raise UsageError(f"the function jumps back into its first {size} bytes")
    return window


def _landing(instruction: Any) -> bool:
    """Return whether this is ENDBR64, or the NOP of four bytes with which the kernel seals it."""
    sealed = instruction.id == x86.X86_INS_NOP and instruction.size == _ENDBR64
    return bool(instruction.id == x86.X86_INS_ENDBR64 or sealed)


def _window(code: bytes, start: int, chosen: list[Any]) -> Window:
    last = chosen[-1]
    if not _relative(last):
        return Window(start, code, code, len(chosen))
    plain = code[: len(code) - last.size]
    calls = last.bytes[0] == _CALL32
    return Window(start, code, plain, len(chosen), last.operands[0].imm & _U64, calls)


def _relative(instruction: Any) -> bool:
    """Return whether this is a relative JMP or CALL, whose target can be reached from elsewhere."""
    return instruction.bytes[0] in (_JMP32, _JMP8, _CALL32)


def _target(instruction: Any) -> int | None:
    if instruction.group(x86.X86_GRP_BRANCH_RELATIVE):
        return int(instruction.operands[0].imm) & _U64
    return None


def _check(instruction: Any) -> None:
    """Raise UsageError if `instruction` does something else when it is executed elsewhere."""
    text = f"{instruction.mnemonic} {instruction.op_str}".strip()
    if instruction.bytes[0] == 0xCC:
        raise UsageError("a breakpoint of somebody else is in its first bytes")
    if _relative(instruction):
        return
    if instruction.id not in _PLAIN or instruction.group(x86.X86_GRP_PRIVILEGE):
        raise UsageError(f"`{text}` is in its first bytes, which cannot be executed elsewhere")
    for operand in instruction.operands:
        memory = operand.type == x86.X86_OP_MEM
        if memory and operand.mem.base in (x86.X86_REG_RIP, x86.X86_REG_EIP):
            raise UsageError(f"`{text}` is in its first bytes, which reads relative to rip")
