# SPDX-License-Identifier: GPL-2.0-or-later
"""Where in a function to break so that the kernel can be resumed without a single step.

GDB leaves a breakpoint by stepping one thread over it. Over KGDB, with several CPUs, that
kills GDB 13.1 and loses hits. So a probe stands on an instruction of the prologue whose whole
effect is a function of the registers, and the debugger writes that effect instead of stepping.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Callable, Optional

from capstone import CS_ARCH_X86, CS_MODE_64, Cs
from capstone import x86_const as x86

__all__ = ("Resume", "choose", "disassembled", "effect_of")

_ELSEWHERE = (
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
_Value = Optional[dict[str, Any]]  # the fields of a Resume that tell its value
_U64 = (1 << 64) - 1
_WIDE = {  # every name of a general register's low parts, and the whole register's
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

    `address` is where it stands, `next_pc` where the CPU goes on; `register` is what it
    writes (None: nothing but the program counter), from the registers that `inputs` weighs
    (name to factor) plus `constant`, cut to `bits` and sign-extended if `signed`; with `loads`
    that sum is the address of the `bits` it takes from memory.
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
        """Return how many registers a resume has to write; each is a packet on the wire."""
        return 1 + (self.register is not None)

    def effect(self, read: Callable[[str], int], load: Callable[[int, int], int]) -> dict[str, int]:
        """Return the registers to write (name to u64), the program counter last.

        `read` gives the value (u64) of a general register or of gs_base before the instruction,
        `load` that of so many bytes (second argument) at an address.
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
    """Return the best place to break in the function whose `code` stands at `address`.

    `code` is what memory holds now (the file on disk may differ: alternatives, ftrace), best
    the whole function, so that loops back into the prologue are seen. The place is passed
    once per call, before any of `arguments` (register names) is overwritten, and costs as few
    transfers as can be had. None when no instruction qualifies.
    """
    instructions = list(disassembled(code, address))
    end = min((t for t in _jump_targets(instructions) if t >= address), default=_U64)
    # From a jump's target on, an instruction may be passed more than once a call.
    places = [r for r in _candidates(instructions, arguments) if r.address < end]
    return min(places, key=lambda r: r.writes + r.loads, default=None)


def disassembled(code: bytes, address: int) -> Iterator[Any]:
    """Yield capstone's instructions of the `code` at `address`, up to one it cannot decode."""
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
        instruction.group(group) for group in _ELSEWHERE
    )


def _written(instruction: Any) -> set[str]:
    _, written = instruction.regs_access()
    return {_WIDE.get(instruction.reg_name(r), "") for r in written}


def _jump_targets(instructions: list[Any]) -> set[int]:
    return {
        i.operands[0].imm & _U64
        for i in instructions
        if i.group(x86.X86_GRP_BRANCH_RELATIVE) and not i.group(x86.X86_GRP_CALL)
    }


def effect_of(instruction: Any) -> Resume | None:
    """Return how to resume on capstone's `instruction`, None where that cannot be computed."""
    if _LOCK in takewhile(_PREFIXES.__contains__, instruction.bytes):
        return None  # raises #UD with all that is below
    after = instruction.address + instruction.size
    text = f"{instruction.mnemonic} {instruction.op_str}".strip()
    place = {"address": instruction.address, "next_pc": after, "text": text}
    if instruction.id in (x86.X86_INS_NOP, x86.X86_INS_ENDBR64) or _is_exchange_nop(instruction):
        return Resume(**place)
    if instruction.bytes[0] in _JUMPS:  # behind a prefix 0x66, CPUs differ in what they do
        return Resume(**{**place, "next_pc": instruction.operands[0].imm & _U64})
    value = _value_of(instruction)
    return Resume(**place, **value) if value else None


def _is_exchange_nop(instruction: Any) -> bool:
    """Tell `xchg %ax,%ax` (0x90 with prefixes), which clears no upper half, from a real one."""
    exchange = instruction.id == x86.X86_INS_XCHG and instruction.opcode[0] == 0x90
    return bool(exchange and not instruction.rex & 1)


def _value_of(instruction: Any) -> _Value:
    if instruction.id not in (x86.X86_INS_MOV, x86.X86_INS_MOVSXD, x86.X86_INS_LEA):
        return None
    target, source = instruction.operands
    register = _register(instruction, target)
    if register is None or target.size not in (4, 8) or _WIDE[register] == "rsp":
        return None
    register = _WIDE[register]
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
    return {"register": register, "inputs": ((_WIDE[name], 1),), "bits": bits, "signed": signed}


def _register(instruction: Any, operand: Any) -> str | None:
    if operand.type != x86.X86_OP_REG:
        return None
    name = instruction.reg_name(operand.reg)
    return name if name in _WIDE else None


def _per_cpu_value(instruction: Any, source: Any, register: str, bits: int) -> _Value:
    """Return the value of a per-CPU variable, as `mov %gs:current_task,%rax` loads it."""
    if source.mem.segment != x86.X86_REG_GS or instruction.id != x86.X86_INS_MOV:
        return None
    value = _address_value(instruction, source, register, bits)
    if value is None or value["inputs"]:
        return None
    return {**value, "inputs": (("gs_base", 1),), "loads": True}


def _address_value(instruction: Any, source: Any, register: str, bits: int) -> _Value:
    if instruction.addr_size != 8:  # the sum would be cut to 32 bits before it is used
        return None
    memory = source.mem
    inputs: list[tuple[str, int]] = []
    constant = memory.disp
    for number, factor in ((memory.base, 1), (memory.index, memory.scale)):
        name = instruction.reg_name(number) if number else None
        if name == "rip":
            constant += instruction.address + instruction.size
        elif name in _WIDE:
            inputs.append((name, factor))
        elif name:
            return None
    return {"register": register, "inputs": tuple(inputs), "constant": constant, "bits": bits}
