# SPDX-License-Identifier: GPL-2.0-or-later
"""Instructions found in a vmlinux and in memory. The test makes both, and knows each address."""

from __future__ import annotations

import subprocess

import pytest
from fake import FakeMemory
from fake_kernel import struct

from gdbfpu.errors import GdbFpuError, MissingSymbol, MissingType
from gdbfpu.kernel.askable import Askable, find_askable
from gdbfpu.layouts.types import Layouts
from gdbfpu.probes.asking import Save, Site

TEXT, TABLE = 0xFFFFFFFF81000000, 0xFFFFFFFF81800000
SLIDE = 0x1C200000
ENTRY = struct("exception_table_entry", 12, ("insn", 0, 4), ("fixup", 4, 4), ("handler", 8, 4))
ENTRY_44 = struct("exception_table_entry", 8, ("insn", 0, 4), ("fixup", 4, 4))
# Each is at a place of its own; `guarded` ones have an entry in the table.
CR0, CR4, CPUID, RDMSR, SAVE = (TEXT + 0x10 * n for n in range(1, 6))
CODE = {
    CR0: b"\x0f\x20\xc7",
    CR4: b"\x0f\x20\xe0",
    CPUID: b"\x0f\xa2",
    RDMSR: b"\x0f\x32",
    SAVE: b"\x48\x0f\xae\x27",
}
GUARDED = (RDMSR, SAVE)
ALL = ("rax", "rbx", "rcx", "rdx")
FOUND = Askable(
    Site(CR0, CODE[CR0], ("rdi",)),
    Site(CR4, CODE[CR4], ("rax",)),
    Site(CPUID, CODE[CPUID], ALL),
    Site(RDMSR, CODE[RDMSR], ("rax", "rdx")),
    (Save(Site(SAVE, CODE[SAVE], ()), "XSAVE", "standard", "rdi", 0),),
)


@pytest.fixture
def made(tmp_path):
    """A function that makes a vmlinux and the memory of its kernel, in which it is as in the file.

    `code` has the bytes at each address, `entry` the size of an entry in the exception table.
    """

    def make(code=None, guarded=GUARDED, entry=12, slide=0, end=0x100, file=""):
        code = CODE if code is None else code
        text = bytearray(b"\x90" * 0x200)
        for address, data in code.items():
            text[address - TEXT : address - TEXT + len(data)] = data
        rows = [f".long {to:#x} - {TABLE + entry * n:#x}" for n, to in enumerate(guarded)]
        table = "\n".join(f"{row}\n.skip {entry - 4}, 0xee" for row in rows) or ".long 0"
        listed = ",".join(map(str, text))
        source = f'.text\n.byte {listed}\n.section __ex_table,"a"\n{table}\n'
        command = [["as", "-o", "code.o", "-"]]
        command += [["ld", f"-Ttext={TEXT:#x}", f"--section-start=__ex_table={TABLE:#x}",
                     "-e", "0", "-o", "vmlinux", "code.o"]]  # fmt: skip
        if file:
            command += [["objcopy", file, "vmlinux"]]
        for each in command:
            subprocess.run(each, input=source.encode(), cwd=tmp_path, timeout=30, check=True)
        target = FakeMemory()
        target.slide = slide
        target.put(TEXT + slide, bytes(text))
        target.symbols["_etext"] = TEXT + slide + end
        return target, tmp_path / "vmlinux"

    return make


def find(made, types=ENTRY):
    return find_askable(*made, Layouts([types]))


def test_one_of_each(made):
    assert find(made()) == FOUND


def test_entries_without_a_handler(made):
    """Up to 4.5."""
    assert find(made(entry=8), ENTRY_44) == FOUND


def test_a_kernel_that_kaslr_moved(made):
    found = find(made(slide=SLIDE))
    assert [site.address - SLIDE for site in (found.cr0, found.cr4, found.cpuid, found.rdmsr)] == [
        *(CR0, CR4, CPUID, RDMSR)
    ]
    assert [save.site.address for save in found.saves] == [SAVE + SLIDE]


@pytest.mark.parametrize(
    ("now", "name", "form"),
    [
        ("480fae37", "XSAVEOPT", "standard"),
        ("480fc72f", "XSAVES", "compacted"),
        ("480fc727", "XSAVEC", "compacted"),
    ],
)
def test_the_kernel_has_replaced_xsave_as_it_booted(made, now, name, form):
    """Alternatives: the file has XSAVE still."""
    target, file = made()
    code = bytes.fromhex(now)
    target.put(SAVE, code)
    found = find((target, file))
    assert found.saves == (Save(Site(SAVE, code, ()), name, form, "rdi", 0),)
    assert found.save(form) is found.saves[0]
    with pytest.raises(GdbFpuError) as caught:
        found.save("fxsave")
    assert str(caught.value) == "this kernel has no instruction that saves FPU registers as fxsave"


def test_something_else_is_in_memory(made):
    """As ftrace, or a breakpoint; then the next place that is the same counts."""
    target, file = made({**CODE, CR0 + 0x100: CODE[CR0]}, end=0x200)
    target.put(CR0, b"\xcc")
    target.put(SAVE, b"\x90" * 4)
    found = find((target, file))
    assert found.cr0 == Site(CR0 + 0x100, CODE[CR0], ("rdi",))
    assert found.saves == ()


@pytest.mark.parametrize(
    ("place", "what"),
    [
        (CR0, "read of CR0"),
        (CR4, "read of CR4"),
        (CPUID, "CPUID"),
        (RDMSR, "guarded RDMSR"),
    ],
)
def test_text_that_lacks_one(made, place, what):
    with pytest.raises(GdbFpuError) as caught:
        find(made({at: data for at, data in CODE.items() if at != place}))
    assert str(caught.value) == f"this kernel's text has no {what}"


@pytest.mark.parametrize("place", [CR0, CR4, CPUID, RDMSR])
def test_what_the_kernel_frees_after_its_boot_does_not_count(made, place):
    """Behind _etext, where .init.text may be; here in the same section of the file."""
    moved = {place + 0x100 if at == place else at: data for at, data in CODE.items()}
    guarded = [place + 0x100 if at == place else at for at in GUARDED]
    with pytest.raises(GdbFpuError, match="this kernel's text has no"):
        find(made(moved, guarded))
    assert find(made(moved, guarded, end=0x200)).saves == FOUND.saves


def test_text_that_is_gone_from_memory(made):
    target, file = made()
    target.ranges.clear()
    with pytest.raises(GdbFpuError, match="cannot read"):
        find((target, file))


@pytest.mark.parametrize("left", [(RDMSR,), (SAVE,)])
def test_what_may_fault_needs_an_entry_in_the_exception_table(made, left):
    if RDMSR in left:
        assert find(made(guarded=left)).saves == ()
    else:
        with pytest.raises(GdbFpuError, match="guarded RDMSR"):
            find(made(guarded=left))


@pytest.mark.parametrize("save", ["480fae20", "480fae22", "480fae2424", "480fae2500000000"])
def test_addresses_in_registers_that_are_not_free(made, save):
    """rax and rdx have the mask, KGDB does not set rsp, and rip is where the instruction is."""
    assert find(made({**CODE, SAVE: bytes.fromhex(save)})).saves == ()


def test_entries_of_other_sections_are_not_looked_at(made):
    """As those of .init.text, and of modules' text."""
    outside = (TEXT - 0x1000, *GUARDED, TEXT + 0x200, 0xFFFFFFFF82000000)
    assert find(made(guarded=outside)) == FOUND


@pytest.mark.parametrize(
    "file", ["--remove-section=__ex_table", "--remove-section=.text", "--only-keep-debug"]
)
def test_a_file_without_the_text_or_the_table(made, file):
    target, path = made(file=file)
    with pytest.raises(GdbFpuError) as caught:
        find((target, path))
    assert str(caught.value) == f"{path} has no .text or no __ex_table"


def test_nobody_says_where_the_text_ends(made):
    target, file = made()
    del target.symbols["_etext"]
    with pytest.raises(MissingSymbol, match="_etext"):
        find((target, file))


def test_the_entry_is_not_described(made):
    with pytest.raises(MissingType, match="exception_table_entry"):
        find(made(), struct("other", 8))


def test_a_file_full_of_places_that_memory_does_not_have(made):
    """It may not make us read for minutes."""
    many = {TEXT + 3 * n: b"\x0f\x20\xc0" for n in range(150)}
    target, file = made(many, end=0x200)
    target.put(TEXT, b"\x90" * 0x200)
    target.reads.clear()
    with pytest.raises(GdbFpuError, match="read of CR0"):
        find((target, file))
    assert len(target.reads) == 64
