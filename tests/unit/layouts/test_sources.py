# SPDX-License-Identifier: GPL-2.0-or-later
"""Where layouts are taken from: of one program with and without its DWARF, its BTF, its memory."""

from __future__ import annotations

import subprocess

import pytest
from fake import FakeTarget

from gdbfpu.errors import CorruptState, GdbFpuError, MemoryFault, MissingType
from gdbfpu.layouts import btf, elf
from gdbfpu.layouts import sources as debuginfo
from gdbfpu.layouts.cache import Question

START = 0xFFFFFFFF82438070
TEXT = """
struct fpu { unsigned last_cpu; struct fpstate *fpstate; } fpu;
int anchor(void) { return fpu.last_cpu; }
int main(void) { return anchor(); }
"""


def run(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A program with DWARF and BTF."""
    folder = tmp_path_factory.mktemp("debuginfo")
    (folder / "fpu.c").write_text(TEXT)
    run("gcc", "-g", "-no-pie", "-o", folder / "both", folder / "fpu.c")
    run("pahole", "-J", folder / "both")
    return folder / "both"


def without(both, path, *sections):
    run("objcopy", *(f"--remove-section={section}" for section in sections), both, path)
    return path


@pytest.fixture
def stripped(both, tmp_path):
    """The program without DWARF, as `strip --strip-debug` leaves it."""
    run("strip", "--strip-debug", "-o", tmp_path / "stripped", both)
    return tmp_path / "stripped"


@pytest.fixture
def bare(stripped, tmp_path):
    """The program with neither."""
    return without(stripped, tmp_path / "bare", ".BTF")


@pytest.fixture
def target(both):
    """A target with the program's symbols and no BTF in memory."""
    made = FakeTarget()
    lines = [line.split() for line in run("nm", both).splitlines()]
    made.symbols = {fields[2]: int(fields[0], 16) for fields in lines if len(fields) == 3}
    return made


def put_btf(target, both, size=0):
    data = elf.btf_section(both)
    target.put(START, data)
    target.symbols.update(__start_BTF=START, __stop_BTF=START + (size or len(data)))
    return len(data)


def question(*types):
    return Question("", types, ("no_such", "anchor"))


def read(target, file, wanted=("fpu",), **more):
    layouts = debuginfo.read_layouts(target, file, question(*wanted), **more)
    assert layouts.struct("fpu").size == 16
    assert layouts.member("fpu", "fpstate").offset == 8
    assert layouts.member("fpu", "fpstate").type == "fpstate"
    return layouts.source


def test_dwarf_comes_first(target, both):
    put_btf(target, both)
    assert read(target, both) == "DWARF"
    assert target.reads == []


def test_btf_of_the_file_comes_second(target, both, stripped):
    put_btf(target, both)
    assert read(target, stripped) == "BTF"
    assert target.reads == []


def test_btf_in_memory_comes_last(target, both, bare):
    put_btf(target, both)
    assert read(target, bare) == "BTF in memory"


def test_dwarf_without_aranges(target, both, tmp_path):
    """Clang writes none."""
    file = without(both, tmp_path / "clang", ".debug_aranges", ".BTF")
    assert read(target, file) == "DWARF"


def test_btf_needs_no_anchor(target, stripped, both):
    del target.symbols["anchor"]
    assert read(target, stripped) == "BTF"
    assert read(target, both) == "DWARF"  # where its name leads to it


def test_anchors_of_a_kernel_that_was_moved(target, both):
    """DWARF has the addresses that the file has."""
    target.slide = 0x1C200000
    target.symbols["anchor"] += target.slide
    assert read(target, both) == "DWARF"
    target.slide = 0
    assert read(target, both) == "BTF"


def test_nothing_at_all(target, bare):
    with pytest.raises(GdbFpuError, match=r"bare has neither DWARF nor BTF, .*DEBUG_INFO") as c:
        read(target, bare)
    assert "\n" not in str(c.value)


def test_types_that_are_not_there(target, both, bare):
    put_btf(target, both)
    wanted = ("fpu", "x86_hw_tss")
    layouts = debuginfo.read_layouts(target, bare, question(*wanted))
    assert layouts.names() == ("fpu",)
    with pytest.raises(MissingType, match="x86_hw_tss"):
        debuginfo.read_layouts(target, bare, question(*wanted[1:]))


# --- the target's memory


def test_reads_are_told_and_whole(target, both, monkeypatch):
    size = put_btf(target, both)
    monkeypatch.setattr(debuginfo, "_CHUNK", 100)
    told = []
    found = debuginfo.from_target(target, ["fpu"], lambda done, of: told.append((done, of)))
    assert found.struct("fpu").size == 16
    assert told == [(min(at + 100, size), size) for at in range(0, size, 100)]
    assert target.reads[0] == (START, 24)
    assert sum(length for _, length in target.reads[1:]) == size


def test_padding_behind_it(target, both):
    size = put_btf(target, both)
    target.ranges[START] += bytes(16)
    target.symbols["__stop_BTF"] += 16
    assert debuginfo.from_target(target, ["fpu"]).struct("fpu").size == 16
    assert target.reads[-1] == (START, size + 16)


@pytest.mark.parametrize("missing", ["__start_BTF", "__stop_BTF"])
def test_no_symbol(target, both, missing):
    put_btf(target, both)
    del target.symbols[missing]
    assert debuginfo.from_target(target, ["fpu"]) is None


def test_empty(target):
    """The linker script defines both symbols at one place where there is no BTF."""
    target.symbols.update(__start_BTF=START, __stop_BTF=START)
    assert debuginfo.from_target(target, ["fpu"]) is None


@pytest.mark.parametrize("size", [-8, 1, 23, btf.MAX_SIZE + 1, 1 << 40])
def test_size_that_cannot_be(target, both, size):
    put_btf(target, both, size)
    with pytest.raises(CorruptState, match=f"BTF is {size} bytes long"):
        debuginfo.from_target(target, ["fpu"])
    assert target.reads == []


def test_something_else_in_its_place(target, both):
    """A wrong vmlinux is found out by the header, not after minutes of reading."""
    put_btf(target, both, btf.MAX_SIZE)
    target.put(START, bytes(24))
    with pytest.raises(CorruptState, match="not little-endian BTF"):
        debuginfo.from_target(target, ["fpu"])
    assert target.reads == [(START, 24)]


def test_memory_that_cannot_be_read(target, both):
    size = put_btf(target, both)
    target.symbols["__stop_BTF"] += 8
    with pytest.raises(MemoryFault) as caught:
        debuginfo.from_target(target, ["fpu"])
    assert (caught.value.address, caught.value.length) == (START, size + 8)
