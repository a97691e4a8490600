# SPDX-License-Identifier: GPL-2.0-or-later
"""Find instructions in the kernel's text that tell a register of the CPU when one is executed.

A fault at an instruction without an entry in the kernel's exception table panics the kernel. So
those that can fault are taken only where there is an entry. Source: Intel SDM volume 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from capstone import x86_const as x86

from gdbfpu.probes.resume import disassembled

__all__ = ("LONGEST", "Save", "Site", "control_reads", "cpuids", "guarded", "msr_reads", "save_at")

LONGEST = 15
"""The most bytes of an instruction."""

_LOW = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi")  # ModRM.rm without a prefix
_CPUID, _RDMSR = b"\x0f\xa2", b"\x0f\x32"
_SAVE_OPCODES, _OPCODE_END = (b"\x0f\xae", b"\x0f\xc7"), 4
_WIDE = 8  # bytes of an address
_SAVES = {
    x86.X86_INS_FXSAVE64: "fxsave",
    x86.X86_INS_XSAVE64: "standard",
    x86.X86_INS_XSAVEOPT64: "standard",
    x86.X86_INS_XSAVEC64: "compacted",
    x86.X86_INS_XSAVES64: "compacted",
}
"""The instructions that save FPU registers, and the format that each writes."""


class Site(NamedTuple):
    """An instruction: its address and bytes, and the registers that it writes."""

    address: int
    code: bytes
    writes: tuple[str, ...]


class Save(NamedTuple):
    """An instruction that saves FPU registers at register `base` plus `offset` (bytes).

    `name` is its name in capital letters; `form` is the format that it writes: `standard`,
    `compacted` or `fxsave`.
    """

    site: Site
    name: str
    form: str
    base: str
    offset: int


def control_reads(text: bytes, address: int, number: int) -> Iterator[Site]:
    """Yield where the `text` at `address` has `mov %crN,%reg` of control register `number`.

    The bytes may be those of a longer instruction: the CPU executes what is there. A read into rsp
    is left out, since KGDB does not set rsp.
    """
    for low, name in enumerate(_LOW):
        if name != "rsp":
            code = bytes((0x0F, 0x20, 0xC0 | number << 3 | low))
            yield from (Site(address + at, code, (name,)) for at in _found(text, code))


def cpuids(text: bytes, address: int) -> Iterator[Site]:
    """Yield where the `text` at `address` has CPUID."""
    for at in _found(text, _CPUID):
        yield Site(address + at, _CPUID, ("rax", "rbx", "rcx", "rdx"))


def _found(text: bytes, code: bytes) -> Iterator[int]:
    at = text.find(code)
    while at >= 0:
        yield at
        at = text.find(code, at + 1)


def guarded(table: bytes, address: int, size: int, insn: int) -> Iterator[int]:
    """Yield the addresses of the instructions in the exception table at `address`.

    Each entry (struct exception_table_entry) has `size` bytes. Its member `insn`, an int, is the
    distance from there to the instruction. Source: arch/x86/include/asm/extable.h.
    """
    for at in range(insn, len(table) - 3, size):
        distance = int.from_bytes(table[at : at + 4], "little", signed=True)
        yield (address + at + distance) & ((1 << 64) - 1)


def msr_reads(code: bytes, address: int) -> Site | None:
    """Return the RDMSR that the `code` at `address` begins with, if any."""
    there = code.startswith(_RDMSR)
    return Site(address, _RDMSR, ("rax", "rdx")) if there else None


def save_at(code: bytes, address: int) -> Save | None:
    """Return the instruction that saves FPU registers which the `code` at `address` begins with."""
    if not any(opcode in code[:_OPCODE_END] for opcode in _SAVE_OPCODES):  # decoding is slow
        return None
    one = next(disassembled(code, address), None)
    if one is None or one.id not in _SAVES:
        return None
    memory = one.operands[0].mem
    if memory.index or memory.segment or not memory.base or one.addr_size != _WIDE:
        return None
    site = Site(address, bytes(one.bytes), ())
    name = str(one.mnemonic).upper().removesuffix("64")
    return Save(site, name, _SAVES[one.id], one.reg_name(memory.base), memory.disp)
