# SPDX-License-Identifier: GPL-2.0-or-later
"""What an ELF file says of itself, held to what readelf and nm read in it."""

from __future__ import annotations

import re
import subprocess

import pytest

from gdbfpu.errors import CorruptState, GdbFpuError
from gdbfpu.layouts import elf

ID = "00112233445566778899aabbccddeeff01234567"
TEXT = """
const char banner[] = "Linux version 4.4.60\\n"; const char next[] = "next";
char zeros[64];
int frame(void) { return zeros[1]; }
int save_frame(void) { return zeros[2]; }
static int only_here(void) { return zeros[3]; }
extern int nowhere(void) __attribute__((weak));
int main(void)
{
    return banner[0] + next[0] + zeros[0] + frame() + save_frame() + only_here() + !nowhere;
}
"""


def run(*argv, cwd=None):
    return subprocess.run(
        argv, cwd=cwd, check=True, capture_output=True, text=True, timeout=60
    ).stdout


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elf")
    (folder / "s.c").write_text(TEXT)
    run("gcc", "-g", "-no-pie", f"-Wl,--build-id=0x{ID}", "-o", "s", "s.c", cwd=folder)
    return folder / "s"


@pytest.fixture(scope="module")
def nm(file):
    lines = map(str.split, run("nm", file).splitlines())
    return {fields[2]: int(fields[0], 16) for fields in lines if len(fields) == 3}


def test_build_id_is_readelfs(file):
    assert re.search(r"Build ID: ([0-9a-f]+)", run("readelf", "-n", file))[1] == ID
    assert elf.build_id(file) == ID


def test_file_without_build_id(file, tmp_path):
    run("objcopy", "--remove-section", ".note.gnu.build-id", file, tmp_path / "bare")
    assert elf.build_id(tmp_path / "bare") is None


@pytest.mark.parametrize(
    ("at", "value", "name"),
    [
        (18, (183).to_bytes(2, "little"), "EM_AARCH64"),  # e_machine in the ELF specification
        (18, (3).to_bytes(2, "little"), "EM_386"),
        (18, (22).to_bytes(2, "little"), "machine 22"),
        (5, b"\2" + bytes(12) + b"\0\26", "machine 22"),  # big-endian, as s390x is
    ],
)
def test_other_machines_are_named(file, tmp_path, at, value, name):
    data = bytearray(file.read_bytes())
    data[at : at + len(value)] = value
    (tmp_path / "other").write_bytes(data)
    with pytest.raises(GdbFpuError, match=f"other is for {name}, but gdbfpu reads EM_X86_64"):
        elf.build_id(tmp_path / "other")


def test_section_start_is_readelfs(file):
    shown = re.search(r"\] \.rodata +PROGBITS +(\w+)", run("readelf", "-SW", file))
    assert elf.section_start(file, ".rodata") == int(shown[1], 16)
    assert elf.section_start(file, ".no_such") is None


def test_static_string(file, nm):
    assert elf.static_string(file, nm["banner"]) == b"Linux version 4.4.60\n"
    assert elf.static_string(file, nm["banner"] + 6) == b"version 4.4.60\n"
    assert elf.static_string(file, nm["next"]) == b"next"
    for address in (0x10, nm["zeros"], 1 << 63):  # in .comment only, in .bss, nowhere
        with pytest.raises(CorruptState, match=f"{address:#x}"):
            elf.static_string(file, address)


def test_symbols_are_nms(file, nm):
    """`frame` is the end of `save_frame`: linkers keep such names once."""
    names = ("frame", "save_frame", "only_here", "zeros", "main")
    assert elf.symbol_addresses(file, names) == {name: nm[name] for name in names}
    shown = run("readelf", "-p", ".strtab", file)
    assert not re.search(r"^ +\[ *\w+\] +frame$", shown, re.M), "the linker did not merge tails"


def test_symbols_that_are_not_defined(file, tmp_path):
    assert elf.symbol_addresses(file, ("nowhere", "no_such", "ave_fram")) == {}
    run("strip", "-o", tmp_path / "stripped", file)
    assert elf.symbol_addresses(tmp_path / "stripped", ("main",)) == {}


def section_header(file, number, field, value):
    """Change a field of section header `number`, given by its offset in Elf64_Shdr."""
    data = bytearray(file.read_bytes())
    at = int.from_bytes(data[40:48], "little") + 64 * number + field  # e_shoff
    data[at : at + len(value)] = value
    file.write_bytes(data)


def test_hostile_section_headers(file, tmp_path, nm):
    shown = re.search(r"\[ *(\d+)\] \.symtab", run("readelf", "-SW", file))
    symtab, copy = int(shown[1]), tmp_path / "hostile"
    for field, value, outcome in (
        (32, (25).to_bytes(8, "little"), {}),  # sh_size: the first symbol and a byte
        (32, (1 << 63).to_bytes(8, "little"), CorruptState),
        (24, (1 << 62).to_bytes(8, "little"), CorruptState),  # sh_offset
        (40, (9999).to_bytes(4, "little"), CorruptState),  # sh_link, to the names
        (0, (1 << 31).to_bytes(4, "little"), CorruptState),  # sh_name
    ):
        copy.write_bytes(file.read_bytes())
        assert elf.symbol_addresses(copy, ["main"]) == {"main": nm["main"]}
        section_header(copy, symtab, field, value)
        if outcome == {}:
            assert elf.symbol_addresses(copy, ["main"]) == {}
        else:
            with pytest.raises(outcome, match="hostile is damaged"):
                elf.symbol_addresses(copy, ["main"])


def test_streams_are_the_sections(file, tmp_path):
    """As objcopy takes them out, wherever in a page they begin; read again after the file."""
    run("objcopy", "--compress-debug-sections=zlib-gabi", file, tmp_path / "compressed")
    run("objcopy", "-O", "binary", "--only-section", ".debug_info", "--set-section-flags",
        ".debug_info=alloc", file, tmp_path / "info")  # fmt: skip
    expected = (tmp_path / "info").read_bytes()
    for path in (file, tmp_path / "compressed"):
        with elf.opened(path) as opened:
            section = opened.section(".debug_info")
            assert opened.contents(section) == expected
            stream = opened.part(section).stream()
        assert stream.tell() == 0
        assert stream.read(10) == expected[:10]
        assert stream.tell() == 10
        stream.seek(3)
        assert stream.read() == expected[3:]


def test_compressed_in_an_unknown_way(file, tmp_path):
    path = tmp_path / "compressed"
    run("objcopy", "--compress-debug-sections=zlib-gabi", file, path)
    shown = run("readelf", "-SW", path)
    offset = int(re.search(r"\.debug_info +PROGBITS +\w+ (\w+)", shown)[1], 16)
    data = bytearray(path.read_bytes())
    assert data[offset] == 1  # ELFCOMPRESS_ZLIB
    data[offset] = 3  # ELFCOMPRESS_ZSTD is 2
    path.write_bytes(data)
    with pytest.raises(CorruptState, match="neither zlib nor zstd"), elf.opened(path) as opened:
        opened.contents(opened.section(".debug_info"))


def test_notes():
    """Sizes of name and descriptor, type, both padded to 4 bytes; hostile sizes end the walk."""

    def note(name, data, kind):
        sizes = b"".join(n.to_bytes(4, "little") for n in (len(name), len(data), kind))
        padded = (part + bytes(-len(part) % 4) for part in (name, data))
        return sizes + b"".join(padded)

    linux, own = note(b"Linux\0", b"\1\2\3", 3), note(b"GNU\0", b"\xab\xcd\xef", 3)
    assert elf.find_build_id(linux + note(b"GNU\0", b"x", 1) + own) == "abcdef"
    assert elf.find_build_id(linux) is None
    assert elf.find_build_id(b"\xff" * 12 + own) is None
    assert elf.find_build_id(own[:11]) is None
