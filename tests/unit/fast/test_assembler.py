# SPDX-License-Identifier: GPL-2.0-or-later
"""Each form that the assembler knows, held to what capstone reads in its bytes."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest
from capstone import CS_ARCH_X86, CS_MODE_64, Cs
from capstone import x86_const as x86

from gdbfpu.fast.assembler import Assembler, Condition, Memory, Register

ADDRESS, FAR = 0xFFFFFFFFC0001000, 0xFFFFFFFF81234567
U64 = (1 << 64) - 1
_NAMES = """
8 rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15
4 eax ecx edx ebx esp ebp esi edi r8d r9d r10d r11d r12d r13d r14d r15d
1 al cl dl bl spl bpl sil dil r8b r9b r10b r11b r12b r13b r14b r15b
"""
REGISTERS = {int(line[0]): line[1:].split() for line in _NAMES.strip().splitlines()}
"""The names of the registers of a size in bytes, in the order of Intel's numbers."""

DISPLACEMENTS = (0, -1, 0x80, 0x7FFFFFFF, -0x80000000)
UNSIGNED = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
SIGNED = (0, 1, -1, 0x7F, 0x80, -0x80, -0x81, 0x7FFFFFFF, -0x80000000)
MEMORIES = [
    *(Memory(b, d, gs) for b in Register for d in DISPLACEMENTS for gs in (False, True)),
    *(Memory(None, d, gs) for d in DISPLACEMENTS for gs in (False, True)),
    *(Memory(disp=d, label="far") for d in (0, 8, -8, 0x1000)),
]


class Place(NamedTuple):
    """A memory operand as capstone tells it. A label's address is in `disp`, its base is rip."""

    base: str
    disp: int
    segment: str
    size: int


def asked(memory: Memory, size: int) -> Place:
    if memory.label:
        return Place("rip", (FAR + memory.disp) & U64, "", size)
    base = "" if memory.base is None else REGISTERS[8][memory.base]
    return Place(base, memory.disp & U64, "gs" if memory.gs else "", size)


def read(instruction):
    """The mnemonic and the operands of capstone's `instruction`; an immediate's as a u64."""
    operands = []
    for operand in instruction.operands:
        if operand.type == x86.X86_OP_REG:
            operands.append(instruction.reg_name(operand.reg))
        elif operand.type == x86.X86_OP_IMM:
            operands.append(operand.imm & U64)
        else:
            memory = operand.mem
            assert memory.index == 0
            base, segment = (instruction.reg_name(n) or "" for n in (memory.base, memory.segment))
            after = instruction.address + instruction.size if base == "rip" else 0
            operands.append(Place(base, (memory.disp + after) & U64, segment, operand.size))
    return instruction.mnemonic, *operands


def check(*pairs):
    """Assemble one instruction after another, and compare what capstone reads with what is asked.

    Each pair is a function that appends one instruction, and the mnemonic with the operands.
    """
    asm = Assembler(ADDRESS)
    starts = []
    for append, _ in pairs:
        starts.append(asm.here)
        append(asm)
    asm.label("far", FAR)
    code = asm.finish()
    assert asm.here == ADDRESS + len(code)
    disassembler = Cs(CS_ARCH_X86, CS_MODE_64)
    disassembler.detail = True
    found = list(disassembler.disasm(code, ADDRESS))
    assert [one.address for one in found] == starts
    assert sum(one.size for one in found) == len(code)
    for one, (_, wanted) in zip(found, pairs, strict=True):
        assert read(one) == wanted


def call(method, *arguments, **options):
    return lambda asm: getattr(asm, method)(*arguments, **options)


BOTH = list(itertools.product(Register, Register))
WITH_SIZE = {8: ({}, {"size": 8}), 4: ({"size": 4},)}
"""The ways to ask for a size; 8 bytes are what one gets without asking."""


@pytest.mark.parametrize(
    ("method", "mnemonic", "sizes"),
    [
        ("mov", "mov", (8, 4)),
        ("add", "add", ()),
        ("combine", "or", ()),
        ("mask", "and", ()),
        ("compare", "cmp", (8, 4)),
        ("test", "test", (8, 4)),
    ],
)
def test_two_registers(method, mnemonic, sizes):
    turned = mnemonic == "test"  # which is symmetric: capstone tells the second one first
    for size in sizes or (8,):
        names = REGISTERS[size]
        for options in WITH_SIZE[size] if sizes else ({},):
            check(
                *(
                    (call(method, *((b, a) if turned else (a, b)), **options), (mnemonic, *named))
                    for a, b in BOTH
                    for named in [(names[a], names[b])]
                )
            )


REGISTER_AND_MEMORY = [  # method, mnemonic, size of the register, of the memory, options
    ("mov", "mov", 8, 8, {}),
    ("mov", "mov", 4, 4, {"size": 4}),
    ("load_byte", "movzx", 4, 1, {}),
    ("lea", "lea", 8, 8, {}),
    ("add", "add", 8, 8, {}),
    ("compare", "cmp", 8, 8, {}),
    ("compare", "cmp", 4, 4, {"size": 4}),
]
MEMORY_AND_REGISTER = [
    ("store", "mov", 8, 8, {}),
    ("store", "mov", 4, 4, {"size": 4}),
    ("store_byte", "mov", 1, 1, {}),
    ("combine_memory", "or", 8, 8, {}),
    ("combine_memory", "or", 4, 4, {"size": 4}),
]


@pytest.mark.parametrize("form", REGISTER_AND_MEMORY, ids=str)
def test_a_register_and_memory(form):
    method, mnemonic, size, width, options = form
    check(
        *(
            (call(method, r, m, **options), (mnemonic, REGISTERS[size][r], asked(m, width)))
            for r in Register
            for m in MEMORIES
        )
    )


@pytest.mark.parametrize("form", MEMORY_AND_REGISTER, ids=str)
def test_memory_and_a_register(form):
    method, mnemonic, size, width, options = form
    check(
        *(
            (call(method, m, r, **options), (mnemonic, asked(m, width), REGISTERS[size][r]))
            for r in Register
            for m in MEMORIES
        )
    )


def test_swap():
    check(
        *(
            (call("swap", r, m), ("xchg", asked(m, 4), REGISTERS[4][r]))
            for r in Register
            for m in MEMORIES
        )
    )


@pytest.mark.parametrize(
    ("method", "mnemonic", "size", "values"),
    [
        ("mask_value", "and", 4, UNSIGNED),
        ("combine_value", "or", 4, UNSIGNED),
        ("compare_value", "cmp", 4, UNSIGNED),
        ("add_value", "add", 8, SIGNED),
        ("shift_left", "shl", 8, (0, 1, 3, 31, 32, 63)),
        ("shift_right", "shr", 8, (0, 1, 6, 31, 32, 63)),
    ],
)
def test_a_register_and_a_value(method, mnemonic, size, values):
    wide = U64 if size == 8 else 0xFFFFFFFF
    pairs = [
        (call(method, r, v), (mnemonic, REGISTERS[size][r], v & wide))
        for r in Register
        for v in values
    ]
    check(*pairs)


def test_load():
    small, large = UNSIGNED, (1 << 32, 1 << 63, U64, 0x123456789ABCDEF0, U64 << 31 & U64)
    check(*((call("load", r, v), ("mov", REGISTERS[4][r], v)) for r in Register for v in small))
    check(*((call("load", r, v), ("movabs", REGISTERS[8][r], v)) for r in Register for v in large))


def test_multiply():
    check(
        *(
            (call("multiply", r, v), ("imul", REGISTERS[8][r], REGISTERS[8][r], v & U64))
            for r in Register
            for v in SIGNED
        )
    )


@pytest.mark.parametrize(
    ("method", "mnemonic", "size", "values"),
    [
        ("store_value", "mov", 4, UNSIGNED),
        ("compare_value", "cmp", 4, UNSIGNED),
        ("test_value", "test", 4, UNSIGNED),
        ("add_value", "add", 8, SIGNED),
    ],
)
def test_memory_and_a_value(method, mnemonic, size, values):
    wide = U64 if size == 8 else 0xFFFFFFFF
    check(
        *(
            (call(method, m, v), (mnemonic, asked(m, size), v & wide))
            for m in MEMORIES
            for v in values
        )
    )


def test_increment():
    check(*((call("increment", m), ("inc", asked(m, 8))) for m in MEMORIES))
    check(*((call("increment", m, lock=True), ("lock inc", asked(m, 8))) for m in MEMORIES))


def test_the_stack():
    check(*((call("push", r), ("push", REGISTERS[8][r])) for r in Register))
    check(*((call("pop", r), ("pop", REGISTERS[8][r])) for r in Register))
    check(*((call("push_value", v), ("push", v & U64)) for v in SIGNED))


def test_instructions_without_operands():
    names = ("cld", "cli", "nop", "pause", "popfq", "pushfq", "rdtsc", "ret")
    check(*((call("simple", name), (name,)) for name in names))
    stored = Place("rdi", 0, "", 8)
    check((call("simple", "rep stosq"), ("rep stosq", stored, "rax")))


def test_jumps():
    check((call("jump", "far"), ("jmp", FAR)), (call("call", "far"), ("call", FAR)))
    mnemonics = ("jb", "jae", "je", "jne", "jbe", "ja")
    check(
        *((call("jump_if", c, "far"), (m, FAR)) for c, m in zip(Condition, mnemonics, strict=True))
    )


def test_jumps_within_the_code():
    asm = Assembler(ADDRESS)
    asm.label("begin")
    asm.jump("end")
    asm.raw(bytes(300))
    asm.label("end")
    asm.jump("begin")
    code = asm.finish()
    found = [next(Cs(CS_ARCH_X86, CS_MODE_64).disasm(code[n:], ADDRESS + n)) for n in (0, 305)]
    assert [one.op_str for one in found] == [hex(ADDRESS + 305), hex(ADDRESS)]
    assert asm.address_of("end") == ADDRESS + 305
    assert asm.address_of("begin") == ADDRESS


def test_at_is_further_on():
    memory = Memory(Register.RBX, 5, gs=True)
    assert memory.at(8) == Memory(Register.RBX, 13, gs=True)


def test_labels_are_there_once():
    asm = Assembler(ADDRESS)
    asm.label("here")
    with pytest.raises(ValueError, match="two labels are called here"):
        asm.label("here", 5)
    asm.jump("nowhere")
    with pytest.raises(ValueError, match="no label is called nowhere"):
        asm.finish()


@pytest.mark.parametrize("distance", [1 << 31, -(1 << 31) - 1])
def test_a_jump_that_is_too_long(distance):
    asm = Assembler(ADDRESS)
    asm.jump("there")
    asm.label("there", ADDRESS + 5 + distance)
    with pytest.raises(OverflowError):
        asm.finish()


@pytest.mark.parametrize("distance", [(1 << 31) - 1, -(1 << 31)])
def test_the_longest_jump(distance):
    asm = Assembler(1 << 40)
    asm.jump("there")
    asm.label("there", (1 << 40) + 5 + distance)
    assert int.from_bytes(asm.finish()[1:], "little", signed=True) == distance


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("push_value", (1 << 31,)),
        ("push_value", (-(1 << 31) - 1,)),
        ("load", (Register.RAX, 1 << 64)),
        ("load", (Register.RAX, -1)),
        ("mask_value", (Register.RAX, 1 << 32)),
        ("compare_value", (Register.RAX, -1)),
        ("add_value", (Register.RAX, 1 << 31)),
        ("mov", (Register.RAX, Memory(Register.RBX, 1 << 31))),
        ("mov", (Register.RAX, Memory(None, 0xFFFFFFFF81000000))),
    ],
)
def test_what_does_not_fit_is_not_cut(method, arguments):
    with pytest.raises(OverflowError):
        getattr(Assembler(ADDRESS), method)(*arguments)
