# SPDX-License-Identifier: GPL-2.0-or-later
"""Instructions that tell a register; bytes and what they mean are from the SDM's tables."""

from __future__ import annotations

import pytest

from gdbfpu.probes.asking import Save, Site, control_reads, cpuids, guarded, msr_reads, save_at

AT = 0xFFFFFFFF81001000
NOPS = b"\x90" * 5
MASK = (1 << 64) - 1


# --- MOV from a control register: 0F 20 /r, ModRM.reg the control register, ModRM.rm the other


@pytest.mark.parametrize(
    ("code", "register"),
    [
        (b"\x0f\x20\xc0", "rax"),
        (b"\x0f\x20\xc1", "rcx"),
        (b"\x0f\x20\xc2", "rdx"),
        (b"\x0f\x20\xc3", "rbx"),
        (b"\x0f\x20\xc5", "rbp"),
        (b"\x0f\x20\xc6", "rsi"),
        (b"\x0f\x20\xc7", "rdi"),
    ],
)
def test_reads_of_cr0(code, register):
    assert list(control_reads(NOPS + code + NOPS, AT, 0)) == [Site(AT + 5, code, (register,))]


def test_a_read_into_a_high_register_without_its_prefix():
    """All that 5.10 has of CR0 is `mov %cr0,%r15`: behind the prefix it is `mov %cr0,%rdi`."""
    found = list(control_reads(NOPS + b"\x41\x0f\x20\xc7", AT, 0))
    assert found == [Site(AT + 6, b"\x0f\x20\xc7", ("rdi",))]


def test_a_read_into_rsp_is_of_no_use():
    assert list(control_reads(b"\x0f\x20\xc4\x41\x0f\x20\xc4", AT, 0)) == []


def test_each_control_register_has_its_own_reads():
    text = b"\x0f\x20\xd8\x0f\x20\xe1\x0f\x20\xd0"  # CR3 to rax, CR4 to rcx, CR2 to rax
    assert list(control_reads(text, AT, 4)) == [Site(AT + 3, b"\x0f\x20\xe1", ("rcx",))]
    assert list(control_reads(text, AT, 0)) == []
    assert list(control_reads(b"\x0f\x22\xc0\x0f\x20", AT, 0)) == []  # a write, and a torn read


def test_all_reads_of_a_text():
    text = b"\x0f\x20\xc0" + NOPS + b"\x0f\x20\xc0\x0f\x20\xc3"
    assert sorted(site.address - AT for site in control_reads(text, AT, 0)) == [0, 8, 11]


# --- CPUID, RDMSR


def test_cpuid():
    writes = ("rax", "rbx", "rcx", "rdx")
    found = [Site(AT + at, b"\x0f\xa2", writes) for at in (5, 7)]
    assert list(cpuids(NOPS + b"\x0f\xa2\x0f\xa2" + NOPS + b"\x0f", AT)) == found


def test_rdmsr():
    assert msr_reads(b"\x0f\x32" + NOPS, AT) == Site(AT, b"\x0f\x32", ("rax", "rdx"))
    assert msr_reads(b"\x90\x0f\x32", AT) is None
    assert msr_reads(b"\x0f\x30", AT) is None  # WRMSR
    assert msr_reads(b"\x0f", AT) is None
    assert msr_reads(b"", AT) is None


# --- the exception table


def entry(place, instruction, size, insn):
    """An entry at `place` whose member `insn` says how far away the instruction is."""
    distance = (instruction - place - insn).to_bytes(4, "little", signed=True)
    return (b"\xee" * insn + distance).ljust(size, b"\xee")


@pytest.mark.parametrize(("size", "insn"), [(8, 0), (12, 0), (16, 4)])
def test_guarded_instructions(size, insn):
    table, places = 0xFFFFFFFF81800000, (AT, AT + 7, 0xFFFFFFFF81900000)
    data = b"".join(entry(table + size * n, to, size, insn) for n, to in enumerate(places))
    assert list(guarded(data, table, size, insn)) == list(places)
    assert list(guarded(data[: size + insn + 3], table, size, insn)) == [AT]
    assert list(guarded(b"", table, size, insn)) == []


def test_a_distance_past_the_end_of_memory():
    (found,) = guarded((0x7FFFFFFF).to_bytes(4, "little"), 0xFFFFFFFFFFFFFFF0, 12, 0)
    assert found == 0x7FFFFFEF


# --- instructions that save FPU registers


@pytest.mark.parametrize(
    ("code", "name", "form", "base", "offset"),
    [
        ("48 0f ae 27", "XSAVE", "standard", "rdi", 0),
        ("48 0f ae 37", "XSAVEOPT", "standard", "rdi", 0),
        ("48 0f c7 27", "XSAVEC", "compacted", "rdi", 0),
        ("48 0f c7 2f", "XSAVES", "compacted", "rdi", 0),
        ("48 0f ae 07", "FXSAVE", "fxsave", "rdi", 0),
        ("48 0f ae 63 40", "XSAVE", "standard", "rbx", 64),
        ("48 0f ae 63 c0", "XSAVE", "standard", "rbx", -64),
        ("49 0f ae a5 80 13 00 00", "XSAVE", "standard", "r13", 0x1380),
        ("49 0f ae 24 24", "XSAVE", "standard", "r12", 0),
        ("48 0f ae 25 00 01 00 00", "XSAVE", "standard", "rip", 256),
    ],
)
def test_saves(code, name, form, base, offset):
    data = bytes.fromhex(code)
    expected = Save(Site(AT, data, ()), name, form, base, offset)
    assert save_at(data + NOPS, AT) == expected


@pytest.mark.parametrize(
    "code",
    [
        "0f ae 27",  # XSAVE without REX.W: x87 pointers of 32 bits
        "48 0f ae 2f",  # XRSTOR64
        "48 0f c7 1f",  # XRSTORS64
        "48 0f ae 0f",  # FXRSTOR64
        "48 0f c7 0f",  # CMPXCHG16B
        "0f ae f8",  # SFENCE
        "48 0f ae 24 0f",  # an index
        "65 48 0f ae 27",  # GS
        "67 48 0f ae 27",  # an address of 32 bits
        "48 0f ae 24 25 00 10 00 00",  # no base
        "48 0f ae",  # torn
        "90 90 90 90 48 0f ae 27",
        "",
    ],
)
def test_no_saves(code):
    assert save_at(bytes.fromhex(code), AT) is None
