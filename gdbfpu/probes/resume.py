# SPDX-License-Identifier: GPL-2.0-or-later
"""Choose where in a function to break, so that the kernel resumes without a single step.

To leave a breakpoint, GDB steps one thread over it. Over KGDB with several CPUs, this step crashes
GDB 13.1 and loses hits. So we break on an instruction of the prologue whose effect we can compute.
To resume, the debugger writes that effect to the registers and does not step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Callable, Optional

from capstone import CS_ARCH_X86, CS_MODE_64, Cs
from capstone import x86_const as x86

__all__ = ("Resume", "choose", "disassembled", "effect_of")

_LEAVING_GROUPS = (
    x86.X86_GRP_JUMP,
    x86.X86_GRP_BRANCH_RELATIVE,
    x86.X86_GRP_CALL,
    x86.X86_GRP_RET,
    x86.X86_GRP_INT,
    x86.X86_GRP_IRET,
)
_PREFIXES = bytes.fromhex("26 2e 36 3e 64 65 66 67 f0 f2 f3") + bytes(range(0x40, 0x50))
_LOCK = 0xF0
_JUMPS = (0xE9, 0xEB)  # JMP rel32 and rel8
_Value = Optional[dict[str, Any]]  # the fields of a Resume that say how to compute its value
_U64 = (1 << 64) - 1
_WHOLE = {  # a general register, or a low part of one, to the whole register
    low: whole
    for whole, lows in {
        "rax": "eax ax al ah",
        "rbx": "ebx bx bl bh",
        "rcx": "ecx cx cl ch",
        "rdx": "edx dx dl dh",
        "rsi": "esi si sil",
        "rdi": "edi di dil",
        "rbp": "ebp bp bpl",
        "rsp": "esp sp spl",
        **{f"r{n}": f"r{n}d r{n}w r{n}b" for n in range(8, 16)},
    }.items()
    for low in (whole, *lows.split())
}


@dataclass(frozen=True)
class Resume:
    """An instruction to break on, and its effect.

    `address` is the instruction's address, `next_pc` the address of the instruction that runs
    next. `register` is the register that the instruction writes, None if it only moves the program
    counter. The value is `constant` plus each register of `inputs` times its factor. With `loads`,
    that sum is the address of the value in memory. The value has `bits` bits, and is sign-extended
    if `signed`.
    """

    address: int
    next_pc: int
    text: str
    register: str | None = None
    inputs: tuple[tuple[str, int], ...] = ()
    constant: int = 0
    bits: int = 64
    signed: bool = False
    loads: bool = False

    @property
    def writes(self) -> int:
        """Return the number of registers to write on resume; each costs a packet on the wire."""
        return 1 + (self.register is not None)

    def effect(self, read: Callable[[str], int], load: Callable[[int, int], int]) -> dict[str, int]:
        """Return the registers to write (name to u64), the program counter last.

        `read` returns the value (u64) that a general register or gs_base had before the
        instruction. `load(address, size)` returns the integer of `size` bytes at `address`.
        """
        if self.register is None:
            return {"rip": self.next_pc}
        total = self.constant + sum(read(name) * factor for name, factor in self.inputs)
        if self.loads:
            total = load(total & _U64, self.bits // 8)
        value = total & ((1 << self.bits) - 1)
        if self.signed and value >> (self.bits - 1):
            value -= 1 << self.bits
        return {self.register: value & _U64, "rip": self.next_pc}


def choose(code: bytes, address: int, arguments: tuple[str, ...]) -> Resume | None:
    """Return the best place to break in the function with `code` at `address`.

    `code` is what memory holds now: alternatives and ftrace make it differ from the file. Pass
    the whole function if possible, so that loops back into the prologue are seen. The place runs
    once per call, before the function overwrites any of `arguments` (register names). Of such
    places, this returns the one that takes the fewest packets, or None if there is none.
    """
    instructions = list(disassembled(code, address))
    end = min((t for t in _jump_targets(instructions) if t >= address), default=_U64)
    # After a jump's target, an instruction may run more than once per call.
    places = [r for r in _candidates(instructions, arguments) if r.address < end]
    return min(places, key=lambda r: r.writes + r.loads, default=None)


def disassembled(code: bytes, address: int) -> Iterator[Any]:
    """Yield the instructions of the `code` at `address`, up to one that capstone cannot decode."""
    disassembler = Cs(CS_ARCH_X86, CS_MODE_64)
    disassembler.detail = True
    yield from disassembler.disasm(code, address)


def _candidates(instructions: list[Any], arguments: tuple[str, ...]) -> Iterator[Resume]:
    for instruction in instructions:
        resume = effect_of(instruction)
        if resume is not None:
            yield resume
        if _leaves(instruction) or _written(instruction) & set(arguments):
            return


def _leaves(instruction: Any) -> bool:
    return instruction.id == x86.X86_INS_UD2 or any(
        instruction.group(group) for group in _LEAVING_GROUPS
    )


def _written(instruction: Any) -> set[str]:
    _, written = instruction.regs_access()
    return {_WHOLE.get(instruction.reg_name(r), "") for r in written}


def _jump_targets(instructions: list[Any]) -> set[int]:
    return {
        i.operands[0].imm & _U64
        for i in instructions
        if i.group(x86.X86_GRP_BRANCH_RELATIVE) and not i.group(x86.X86_GRP_CALL)
    }


def effect_of(instruction: Any) -> Resume | None:
    """Return how to resume on capstone's `instruction`, or None if that cannot be computed."""
    if _LOCK in takewhile(_PREFIXES.__contains__, instruction.bytes):
        return None  # all instructions below raise #UD with LOCK
    after = instruction.address + instruction.size
    text = f"{instruction.mnemonic} {instruction.op_str}".strip()
    place = {"address": instruction.address, "next_pc": after, "text": text}
    if instruction.id in (x86.X86_INS_NOP, x86.X86_INS_ENDBR64) or _is_exchange_nop(instruction):
        return Resume(**place)
    # Look at the first byte: a jump with the prefix 0x66 does not do the same on all CPUs.
    if instruction.bytes[0] in _JUMPS:
        return Resume(**{**place, "next_pc": instruction.operands[0].imm & _U64})
    value = _value_of(instruction)
    return Resume(**place, **value) if value else None


def _is_exchange_nop(instruction: Any) -> bool:
    """Return whether this is 0x90 with prefixes (`xchg %ax,%ax`), which changes no register."""
    exchange = instruction.id == x86.X86_INS_XCHG and instruction.opcode[0] == 0x90
    return bool(exchange and not instruction.rex & 1)


def _value_of(instruction: Any) -> _Value:
    if instruction.id not in (x86.X86_INS_MOV, x86.X86_INS_MOVSXD, x86.X86_INS_LEA):
        return None
    target, source = instruction.operands
    register = _register(instruction, target)
    if register is None or target.size not in (4, 8) or _WHOLE[register] == "rsp":
        return None
    register = _WHOLE[register]
    bits = 8 * target.size
    if instruction.id == x86.X86_INS_LEA:
        return _address_value(instruction, source, register, bits)
    if source.type == x86.X86_OP_IMM and instruction.id == x86.X86_INS_MOV:
        return {"register": register, "constant": source.imm, "bits": bits}
    if source.type == x86.X86_OP_MEM:
        return _per_cpu_value(instruction, source, register, bits)
    name = _register(instruction, source)
    if name is None:
        return None
    signed = instruction.id == x86.X86_INS_MOVSXD and bits == 64
    bits = 32 if signed else bits
    return {"register": register, "inputs": ((_WHOLE[name], 1),), "bits": bits, "signed": signed}


def _register(instruction: Any, operand: Any) -> str | None:
    if operand.type != x86.X86_OP_REG:
        return None
    name = instruction.reg_name(operand.reg)
    return name if name in _WHOLE else None


def _per_cpu_value(instruction: Any, source: Any, register: str, bits: int) -> _Value:
    """Return the value that a load of a per-CPU variable reads: `mov %gs:current_task,%rax`."""
    if source.mem.segment != x86.X86_REG_GS or instruction.id != x86.X86_INS_MOV:
        return None
    value = _address_value(instruction, source, register, bits)
    if value is None or value["inputs"]:
        return None
    return {**value, "inputs": (("gs_base", 1),), "loads": True}


def _address_value(instruction: Any, source: Any, register: str, bits: int) -> _Value:
    if instruction.addr_size != 8:  # the CPU cuts the sum to 32 bits
        return None
    memory = source.mem
    inputs: list[tuple[str, int]] = []
    constant = memory.disp
    for number, factor in ((memory.base, 1), (memory.index, memory.scale)):
        name = instruction.reg_name(number) if number else None
        if name == "rip":
            constant += instruction.address + instruction.size
        elif name in _WHOLE:
            inputs.append((name, factor))
        elif name:
            return None
    return {"register": register, "inputs": tuple(inputs), "constant": constant, "bits": bits}
