# SPDX-License-Identifier: GPL-2.0-or-later
"""The code of a fast trace as a whole: where its parts are, and what no random state meets."""

from __future__ import annotations

from dataclasses import replace

import pytest
from capstone import CS_ARCH_X86, CS_MODE_64, Cs
from hypothesis import given
from hypothesis import strategies as st

from gdbfpu.fast.assembler import Memory
from gdbfpu.fast.layout import CONTROL_SIZE, MAX_PROBES, Area, Control
from gdbfpu.fast.places import Places
from gdbfpu.fast.recorder import Filters, Name
from gdbfpu.fast.trampoline import Diverted, assemble, code_pages, patched
from gdbfpu.probes.catalogue import CATALOGUE
from gdbfpu.probes.window import Window, find_window
from tests.unit.fast.emulator import REGISTERS, Emulator, State, places_of

TEXT, AREA, STACK = 0xFFFFFFFF81000000, 0xFFFFFFFFC0100000, 0xFFFFC90000010000
TASKS, PAGE = 0xFFFF888012340000, 4096
CODE = bytes.fromhex("55 48 89 e5 53 48 89 fb 5b 5d c3")
PLACES = Places(
    current=Memory(disp=TEXT + 0x800 - (1 << 64)),
    cpu=None,
    pid=0x40,
    tgid=0x44,
    comm=0x50,
    flags=0x60,
    fpu_offset=0x80,
    header=None,
    live=(0x70, 1, None),
    live_if=True,
    active=None,
)
PROBE = replace(CATALOGUE[0], subject="task", register="rdi")
FUNCTIONS = (
    Diverted(PROBE, find_window(CODE, TEXT)),
    Diverted(PROBE, find_window(CODE, TEXT + 64)),
)
MNEMONICS = {
    *("pushfq", "popfq", "cli", "push", "pop", "mov", "movabs", "movzx", "lea", "call", "ret"),
    *("cmp", "test", "and", "or", "add", "imul", "shl", "shr", "inc", "lock inc", "xchg", "rdtsc"),
    *("pause", "nop", "jmp", "je", "jne", "jae", "ja", "int3", "cld", "rep stosq"),
}


def program_for(area: Area):
    return assemble(FUNCTIONS, PLACES, area, Filters(), header=True)


def disassembled(code: bytes, address: int):
    disassembler = Cs(CS_ARCH_X86, CS_MODE_64)
    disassembler.detail = True
    return list(disassembler.disasm(code, address))


class Cpu(Emulator):
    """A CPU that runs the program for `area` in a kernel without per-CPU variables."""

    def __init__(self, area: Area) -> None:
        super().__init__({TEXT: PAGE, STACK: PAGE, TASKS: 1 << 24, AREA: area.size})
        self.area, self.program = area, program_for(area)
        self.write(AREA, self.program.code)
        self.control(Control.STOP_AT, (1 << 64) - 1)

    def control(self, offset: int, value: int | None = None) -> int:
        place = self.area.control + offset
        if value is not None:
            self.write(place, value.to_bytes(8, "little"))
        return int.from_bytes(self.read(place, 8), "little")

    def divert(self, task: int) -> None:
        """Run the first trampoline with `task` as subject and as the running task."""
        self.write(TEXT + 0x800, task.to_bytes(8, "little"))
        registers = {**dict.fromkeys(REGISTERS, 0), "rdi": task, "rsp": STACK + 0x800}
        self.start(State(registers, 2), 0)
        end = FUNCTIONS[0].window.end
        assert self.run(self.program.entries[0], end) == end


RING, TABLE = Area(AREA, 2, slots=16), Area(AREA, 2, rows=16)


@pytest.mark.parametrize("area", [RING, TABLE], ids=["ring", "table"])
def test_the_parts_of_a_program(area):
    program = program_for(area)
    assert len(program.entries) == len(program.resumes) == 2
    for function, entry, resume in zip(FUNCTIONS, program.entries, program.resumes, strict=True):
        assert entry % 16 == 0
        copy = program.code[resume - AREA :][: len(function.window.plain)]
        assert copy == function.window.plain
        back = disassembled(program.code[resume - AREA + len(copy) :], resume + len(copy))[0]
        assert (back.mnemonic, back.op_str) == ("jmp", hex(function.window.end))
        assert program.code[entry - AREA : entry - AREA + 2] == b"\x9c\xfa"  # pushfq, cli
    nop = disassembled(program.code[program.full - AREA :], program.full)[0]
    assert nop.mnemonic == "nop"
    assert nop.size == 1  # a breakpoint's int3 replaces it


@pytest.mark.parametrize("area", [RING, TABLE], ids=["ring", "table"])
def test_nothing_but_general_registers_and_simple_instructions(area):
    """No SSE, no string instruction, no division; the stack grows by `push` and `call` only."""
    names = Filters((1, 2), (Name(1 << 127, (1 << 128) - 1), Name(97, 255)))
    program = assemble(FUNCTIONS, PLACES, area, names, header=True)
    decoded = disassembled(program.code, AREA)
    assert sum(one.size for one in decoded) == len(program.code)
    assert {one.mnemonic for one in decoded} <= MNEMONICS
    assert not [one for one in decoded if "rsp" in one.op_str and one.mnemonic != "mov"]


def test_the_clock():
    cpu = Cpu(RING)
    for address in places_of("rdtsc", cpu.program.code, AREA, after=True):
        cpu.at(address, lambda: cpu.set(rax=0x89ABCDEF, rdx=0xFEDCBA98))
    caller = AREA + 0x800
    cpu.write(STACK + 0x800, caller.to_bytes(8, "little"))
    cpu.start(State({**dict.fromkeys(REGISTERS, 5), "rsp": STACK + 0x800}, 2), 0)
    assert cpu.run(cpu.program.clock, caller) == caller
    changed = {name for name in REGISTERS if cpu.state.registers[name] != 5}
    assert cpu.state.registers["rax"] == 0xFEDCBA9889ABCDEF
    assert cpu.state.registers["rsp"] == STACK + 0x808
    assert changed <= {"rax", "rdx", "rsp"}  # a C function may change the first two


@pytest.mark.parametrize("flags", [2, 0x402])
def test_clearing(flags):
    """It begins at the first argument, whatever the direction flag."""
    cpu, caller = Cpu(RING), AREA + 0x800
    cpu.write(TASKS, b"\xff" * 256)
    cpu.write(STACK + 0x800, caller.to_bytes(8, "little"))
    registers = {**dict.fromkeys(REGISTERS, 5), "rdi": TASKS + 64, "rsi": 16}
    cpu.start(State({**registers, "rsp": STACK + 0x800}, flags), 0)
    assert cpu.run(cpu.program.clear, caller) == caller
    assert cpu.read(TASKS, 256) == b"\xff" * 64 + bytes(128) + b"\xff" * 64


@pytest.mark.parametrize("area", [RING, TABLE], ids=["ring", "table"])
def test_a_lock_that_nobody_gives_back(area, monkeypatch):
    """Another CPU was stopped while it had the lock, and does not come back."""
    monkeypatch.setattr("gdbfpu.fast.recorder._TRIES", 70)
    cpu, pauses = Cpu(area), []
    cpu.at(places_of("pause", cpu.program.code, AREA)[0], lambda: pauses.append(1))
    cpu.control(Control.LOCK, 1)
    cpu.divert(TASKS)
    assert len(pauses) == 70
    assert cpu.control(Control.LOCK) == 1
    assert cpu.control(Control.LOST) == 1
    assert cpu.control(Control.HEAD) == cpu.control(Control.PASSES) == 0
    assert cpu.read(area.data, PAGE) == bytes(PAGE)


@pytest.mark.parametrize(("apart", "first"), [(0x2580, 1), (0x1A40, 300), (0x4000, 7)])
def test_rows_are_found_in_few_steps(apart, first):
    """Tasks as the slab allocator places them fill the table: less than 4 looks in the mean."""
    cpu, looks = Cpu(Area(AREA, 2, rows=512)), []
    multiply = places_of("imul", cpu.program.code, AREA, after=True)
    cpu.at(multiply[0] + 4, lambda: looks.append(1))  # behind the `shr` that follows
    tasks = range(TASKS, TASKS + 512 * apart, apart)
    for number, task in enumerate(tasks):
        cpu.write(task + PLACES.pid, (first + number).to_bytes(4, "little"))
        cpu.divert(task)
    assert cpu.control(Control.USED) == 512
    assert cpu.control(Control.LOST) == 0
    looks.clear()
    for task in tasks:
        cpu.divert(task)
    assert 512 <= len(looks) < 4 * 512


@given(
    st.binary(min_size=5, max_size=14),
    st.integers(-(1 << 31) + 32, (1 << 31) - 32),
)
def test_patched(code, distance):
    address = 0x123456789000
    found = patched(Window(address, code, code, 1), address + distance)
    assert len(found) == len(code)
    assert found[5:] == code[5:]
    jump = disassembled(found[:5], address)[0]
    assert (jump.mnemonic, jump.size) == ("jmp", 5)
    assert jump.operands[0].imm == address + distance


def test_code_out_of_reach():
    with pytest.raises(OverflowError):
        patched(FUNCTIONS[0].window, TEXT + (1 << 31) + 5)
    with pytest.raises(OverflowError):
        program_for(Area(TEXT - (1 << 33), 1, slots=16))


def test_a_function_that_ends_in_a_call_out_of_the_kernel():
    """The return address is pushed as a value whose sign the CPU extends."""
    window = Window(TEXT - (1 << 40), CODE[:9], CODE[:4], 3, leaves=TEXT, calls=True)
    with pytest.raises(OverflowError):
        assemble((Diverted(PROBE, window),), PLACES, RING, Filters(), header=True)


def test_the_code_takes_whole_pages():
    for count in (1, 2, 20, 64):
        functions = tuple(Diverted(PROBE, find_window(CODE, TEXT + 64 * n)) for n in range(count))
        many = Filters(tuple(range(1, 1 + 8 * count)))
        pages = code_pages(functions, PLACES, many, header=True)
        longest = 0
        for sizes in ({"slots": 1 << 16}, {"rows": 1 << 16}):
            area = Area(AREA, pages, **sizes)
            code = assemble(functions, PLACES, area, many, header=True).code
            longest = max(longest, len(code))
        assert (pages - 1) * PAGE < longest <= pages * PAGE


def test_the_parts_of_the_memory():
    ring = Area(AREA, 3, slots=128)
    assert (ring.control, ring.data) == (AREA + 3 * PAGE, AREA + 4 * PAGE)
    assert ring.size == 4 * PAGE + 128 * 64
    assert Area(AREA, 3, slots=1).size == 5 * PAGE
    table = Area(AREA, 1, rows=1024)
    assert table.index == table.data + 1024 * 96
    assert table.size == 2 * PAGE + 1024 * 96 + 2 * 1024 * 4
    assert Control.PASSES + 8 * MAX_PROBES == CONTROL_SIZE <= PAGE
