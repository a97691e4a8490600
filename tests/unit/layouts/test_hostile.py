# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile debug information ends in one line, in 2 s of CPU time and in 1 GB.

Each file is a small program whose sections of DWARF are written here byte by byte.
"""

from __future__ import annotations

import re
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import zstandard
from kernel_like import run

ROOT = Path(__file__).parents[3]
SECONDS, BYTES = 2.0, 1 << 30
POINTER, TYPEDEF, ARRAY, BOUND, UNIT, IMPORT = 0x0F, 0x16, 0x01, 0x21, 0x11, 0x3D
ENUMERATION = 0x04
STRUCT, MEMBER = 0x13, 0x0D
NAME, SIZE, PLACE, TYPE, SIBLING, COUNT, TARGET, SIGNATURE = 3, 0xB, 0x38, 0x49, 1, 0x37, 0x18, 0x69
STRING, DATA4, REF4, REF_ADDR, SIG8, ALT, STRX, BLOCK1 = 8, 6, 0x13, 0x10, 0x20, 0x1F20, 0x1A, 0x0A


def uleb(number):
    data = b""
    while number >= 0x80:
        data, number = data + bytes((number & 0x7F | 0x80,)), number >> 7
    return data + bytes((number,))


class Dwarf:
    """One unit of DWARF 4: entries with attributes, references by label."""

    def __init__(self):
        self.info, self.abbrev, self.labels, self.patches = bytearray(11), b"", {}, []
        self.codes = {}
        self.die(UNIT, True)

    def die(self, tag, children, *attributes, label=None):
        """Add an entry; attributes are (name, form, value), a str as REF4's value is a label."""
        key = (tag, children, tuple((name, form) for name, form, _ in attributes))
        if key not in self.codes:
            self.codes[key] = len(self.codes) + 1
            specs = b"".join(uleb(name) + uleb(form) for name, form in key[2])
            self.abbrev += uleb(self.codes[key]) + uleb(tag) + bytes((children,)) + specs + b"\0\0"
        self.labels[label] = len(self.info)
        self.info += uleb(self.codes[key])
        for _, form, value in attributes:
            if form == REF4 and isinstance(value, str):
                self.patches.append((len(self.info), value))
                value = 0
            sizes = {DATA4: 4, REF4: 4, REF_ADDR: 4, SIG8: 8, ALT: 4, STRX: 1, 0x0E: 4}
            self.info += value + b"\0" if form == STRING else value.to_bytes(sizes[form], "little")
        return self

    def end(self):
        self.info += b"\0"
        return self

    def struct(self, name, size, *members, label=None):
        """Add a struct; members are (name, offset, label of the type)."""
        named = ((NAME, STRING, name),) if name else ()
        self.die(STRUCT, True, *named, (SIZE, DATA4, size), label=label or name.decode())
        for member, offset, kind in members:
            named = ((NAME, STRING, member),) if member else ()
            self.die(MEMBER, False, *named, (PLACE, DATA4, offset), (TYPE, REF4, kind))
        return self.end()

    def sections(self):
        self.end()
        for at, label in self.patches:
            self.info[at : at + 4] = self.labels[label].to_bytes(4, "little")
        self.info[:11] = struct.pack("<IHIB", len(self.info) - 4, 4, 0, 8)
        return {"info": bytes(self.info), "abbrev": self.abbrev + b"\0"}


def kernel(dwarf=None):
    """Return DWARF of the types that are needed, to which a test adds."""
    made = dwarf or Dwarf()
    made.die(0x24, False, (NAME, STRING, b"int"), (SIZE, DATA4, 4), label="int")
    return made.struct(b"task_struct", 8, (b"flags", 4, "int"))


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A program without debug information, whose function is an anchor's name."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "k.c").write_text(
        "int copy_fpstate_to_sigframe(void) { return 0; } int main(void) { return 0; }"
    )
    run("gcc", "-g0", "-no-pie", "-o", "k", "k.c", cwd=folder)
    return folder / "k"


def put(program, path, sections):
    """Write a copy of `program` with sections, by name without .debug_."""
    options = []
    for name, data in sections.items():
        (path.parent / name).write_bytes(data)
        options += ["--add-section", f".debug_{name}={path.parent / name}"]
    run("objcopy", *options, program, path)
    return path


def limits():
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))


def layout(path):
    """Return status and all that `gdbfpu layout` says, held to its time and memory.

    On a machine that does other things, too, the same work takes more CPU time: it has three tries.
    """
    for _ in range(3):
        seconds, done = timed(path)
        if seconds < SECONDS:
            return done.returncode, done.stdout + done.stderr
    raise AssertionError(f"{seconds} s of CPU time")


def timed(path):
    """Return the CPU time of `gdbfpu layout`, in seconds, and the process that has ended."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "gdbfpu", "layout", path],
        cwd=ROOT, preexec_fn=limits, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, done


def refused(path, words):
    status, said = layout(path)
    assert status == 1
    (line,) = said.splitlines()
    assert line.startswith("gdbfpu: ")
    assert words in line
    assert line.isprintable()


def test_what_the_others_change_is_right(program, tmp_path):
    made = kernel().struct(b"fpu", 8, (b"last_cpu", 0, "int"))
    status, said = layout(put(program, tmp_path / "k", made.sections()))
    assert status == 0
    assert ["fpu", "last_cpu", "0", "4"] in [line.split() for line in said.splitlines()]


def typedef_of_itself(made):
    made.die(TYPEDEF, False, (NAME, STRING, b"t"), (TYPE, REF4, "t"), label="t")
    return made.struct(b"fpu", 8, (b"m", 0, "t"))


def named_typedef_of_itself(made):
    return made.die(TYPEDEF, False, (NAME, STRING, b"fpu"), (TYPE, REF4, "t"), label="t")


def array_of_itself(made):
    made.die(ARRAY, True, (TYPE, REF4, "a"), label="a").die(BOUND, False, (COUNT, DATA4, 2)).end()
    return made.struct(b"fpu", 8, (b"m", 0, "a"))


def huge_array(made):
    made.die(ARRAY, True, (TYPE, REF4, "int"), label="a")
    for _ in range(50):
        made.die(BOUND, False, (COUNT, DATA4, 0xFFFFFFFF))
    return made.end().struct(b"fpu", 8, (b"m", 0, "a"))


def anonymous_struct_in_itself(made):
    return made.struct(b"", 8, (b"", 0, "s"), label="s").struct(b"fpu", 8, (b"", 0, "s"))


def anonymous_structs_by_the_billion(made):
    made.struct(b"", 8, (b"m", 0, "int"), label="0")
    for level in range(1, 50):
        made.struct(b"", 8, *[(b"", 0, str(level - 1))] * 2, label=str(level))
    return made.struct(b"fpu", 8, (b"", 0, "49"))


def member_outside(made):
    return made.struct(b"fpu", 8, (b"m", 5, "int"))


def member_outside_of_its_anonymous_struct(made):
    return made.struct(b"", 4, (b"m", 4, "int"), label="s").struct(b"fpu", 64, (b"", 0, "s"))


def members_place_is_not_a_number(made):
    made.die(STRUCT, True, (NAME, STRING, b"fpu"), (SIZE, DATA4, 8))
    made.die(MEMBER, False, (NAME, STRING, b"m"), (PLACE, STRING, b"x"), (TYPE, REF4, "int"))
    return made.end()


def sibling_before_it(made):
    """A walk that believes it goes round and round."""
    made.die(STRUCT, True, (NAME, STRING, b"x"), (SIZE, DATA4, 8), (SIBLING, REF4, "x"), label="x")
    return made.end()


def sibling_of_an_entry_that_is_not_read_before_it(made):
    made.die(ENUMERATION, True, (SIZE, DATA4, 8), (SIBLING, REF4, "x"), label="x")
    return made.end()


def sibling_that_is_text(made):
    made.die(STRUCT, True, (NAME, STRING, b"x"), (SIBLING, STRING, b"x"))
    return made.end()


def unit_that_imports_itself(made):
    return made.die(IMPORT, False, (TARGET, REF4, "task_struct"))


def type_in_no_file(made):
    made.die(STRUCT, True, (NAME, STRING, b"fpu"), (SIZE, DATA4, 8))
    made.die(MEMBER, False, (NAME, STRING, b"m"), (PLACE, DATA4, 0), (TYPE, ALT, 77))
    return made.end()


def type_in_no_unit(made):
    made.die(STRUCT, True, (NAME, STRING, b"fpu"), (SIZE, DATA4, 8))
    made.die(MEMBER, False, (NAME, STRING, b"m"), (PLACE, DATA4, 0), (TYPE, SIG8, 77))
    return made.end()


def type_far_away(made):
    made.die(STRUCT, True, (NAME, STRING, b"fpu"), (SIZE, DATA4, 8))
    made.die(MEMBER, False, (NAME, STRING, b"m"), (PLACE, DATA4, 0), (TYPE, REF_ADDR, 0x7FFFFFFF))
    return made.end()


def name_in_no_table(made):
    return made.die(STRUCT, True, (NAME, STRX, 7), (SIZE, DATA4, 8)).end()


def name_too_long(made):
    return made.struct(b"fpu", 8, (b"m" * 5000, 0, "int"))


def unknown_abbreviation(made):
    made.info += b"\x7f"
    return made


def a_million_entries(made):
    made.die(0x24, False)
    made.info += made.info[-1:] * 1_000_000
    return made


def entries_with_long_texts(made):
    for _ in range(100):
        made.die(0x24, False, (NAME, STRING, b"x" * 100_000))
    return made


def entries_with_many_attributes(made):
    made.die(0x24, False, *[(0x2000 + i, STRING, b"") for i in range(400)])
    made.info += made.info[-401:] * 10_000
    return made


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (typedef_of_itself, "typedef in DWARF refers to itself"),
        (named_typedef_of_itself, "typedef in DWARF refers to itself"),
        (array_of_itself, "array in DWARF contains itself"),
        (huge_array, "an array in DWARF has"),
        (anonymous_struct_in_itself, "type in DWARF contains itself"),
        (anonymous_structs_by_the_billion, "too much debug information"),
        (member_outside, "member 'm' is outside its type"),
        (member_outside_of_its_anonymous_struct, "member 'm' is outside its type"),
        (members_place_is_not_a_number, "member 'm' has no fixed offset"),
        (sibling_before_it, "a sibling that does not follow it"),
        (sibling_of_an_entry_that_is_not_read_before_it, "a sibling that does not follow it"),
        (sibling_that_is_text, "a sibling that does not follow it"),
        (unit_that_imports_itself, "no type 'fpu'"),
        (type_in_no_file, "is missing"),
        (type_in_no_unit, "it has no type 0x4d"),
        (type_far_away, "no unit of its debug information contains"),
        (name_in_no_table, "no string number 7"),
        (name_too_long, "an impossible name"),
        (unknown_abbreviation, "an abbreviation is missing"),
        (a_million_entries, "too much debug information to read"),
        (entries_with_long_texts, "too much debug information to read"),
        (entries_with_many_attributes, "too much debug information to read"),
    ],
)
def test_hostile_entries(program, tmp_path, damage, words):
    refused(put(program, tmp_path / "k", damage(kernel()).sections()), words)


def test_a_larger_kernel_may_have_larger_units(program, tmp_path):
    """clang's units of the kernel have three times as much as GCC's."""
    made = kernel().struct(b"fpu", 8, (b"last_cpu", 0, "int"))
    made.die(0x24, False, *[(0x2000 + i, STRING, b"") for i in range(400)])
    made.info += made.info[-401:] * 600
    sections = made.sections()
    refused(put(program, tmp_path / "small", sections), "too much debug information to read")
    sections["info"] += struct.pack("<IHIB", 8 << 20, 4, 0, 8) + bytes((8 << 20) - 7)
    status, said = layout(put(program, tmp_path / "large", sections))
    assert status == 0
    assert "last_cpu" in said


def test_entries_that_are_not_read(program, tmp_path):
    """Their sizes lead to what follows; a member may refer to one that was gone past."""
    made = kernel()
    made.die(POINTER, False, (SIZE, DATA4, 8), (TYPE, REF4, "int"), label="pointer")
    made.die(ENUMERATION, True, (SIZE, DATA4, 4), (SIBLING, REF4, "next"), (NAME, STRING, b"e"))
    made.info += b"\x7f\x7f"  # no abbreviation, and no end: only the sibling leads past it
    for number in range(200):  # codes of two bytes
        label = None if number else "next"
        made.die(POINTER, False, (SIZE, DATA4, 8), (0x2000 + number, DATA4, 1), label=label)
    made.struct(b"fpu", 16, (b"last_cpu", 0, "int"), (b"held", 8, "pointer"))
    status, said = layout(put(program, tmp_path / "k", made.sections()))
    assert status == 0
    assert [line.split()[1:4] for line in said.splitlines() if "fpu" in line] == [
        ["16"], ["last_cpu", "0", "4"], ["held", "8", "8"],
    ]  # fmt: skip


def test_names_are_shown_escaped(program, tmp_path):
    made = kernel().struct(b"fpu", 8, (b"\x1b[31m\xff\xc3\xa9", 0, "int"))
    status, said = layout(put(program, tmp_path / "k", made.sections()))
    assert status == 0
    assert r"\x1b[31m\xffé" in said
    assert said.replace("\n", "").isprintable()


def test_units_by_the_million(program, tmp_path):
    """The least that a unit can be is 11 bytes."""
    sections = kernel().sections()
    sections["info"] += struct.pack("<IHIB", 7, 4, 0, 8) * 1_000_000
    refused(put(program, tmp_path / "k", sections), "units of debug information")


def test_one_long_string_again_and_again(program, tmp_path):
    made = kernel()
    made.die(TYPEDEF, False, (NAME, 0x0E, 0))  # DW_FORM_strp
    made.info += made.info[-5:] * 50_000
    sections = {**made.sections(), "str": b"x" * (3 << 20) + b"\0"}
    refused(put(program, tmp_path / "k", sections), "it has no string at 0x0")


def test_endless_abbreviations(program, tmp_path):
    sections = kernel().sections()
    sections["abbrev"] = b"\x7f\x11\0\0\0" * 600_000
    refused(put(program, tmp_path / "k", sections), "too much debug information")
    sections["abbrev"] = b"\x7f\x11\0" + b"\3\x08" * 1_500_000 + b"\0\0"
    refused(put(program, tmp_path / "k", sections), "damaged")


@pytest.mark.parametrize("length", [0, 3, 0xFFFFFF, 0xFFFFFFF0])
def test_length_of_a_unit(program, tmp_path, length):
    sections = kernel().sections()
    sections["info"] = length.to_bytes(4, "little") + sections["info"][4:]
    refused(put(program, tmp_path / "k", sections), "has no unit at 0x0")


def packed(program, path, kind, size, body):
    """A file whose .debug_info is `body`, compressed in way `kind`, and claims `size` bytes."""
    sections = kernel().sections()
    sections["info"] = struct.pack("<IIQQ", kind, 0, size, 1) + body
    file = put(program, path, sections)
    shown = run("readelf", "-SW", file)
    number = int(re.search(r"\[ *(\d+)\] \.debug_info", shown)[1])
    data = bytearray(file.read_bytes())
    at = int.from_bytes(data[40:48], "little") + 64 * number + 8  # e_shoff, sh_flags
    data[at : at + 8] = (1 << 11).to_bytes(8, "little")  # SHF_COMPRESSED
    file.write_bytes(data)
    return file


@pytest.mark.parametrize("kind", [1, 2])
@pytest.mark.parametrize("size", [3 << 30, 1 << 62, 321 << 20, 0])
def test_section_that_claims_too_much(program, tmp_path, kind, size):
    body = zlib.compress(bytes(3 << 20)) if kind == 1 else zstandard.compress(bytes(3 << 20))
    refused(packed(program, tmp_path / "k", kind, size, body), f"claims to have {size} bytes")


@pytest.mark.parametrize("kind", [1, 2])
def test_section_that_has_less_than_it_claims(program, tmp_path, kind):
    body = zlib.compress(bytes(3 << 20)) if kind == 1 else zstandard.compress(bytes(3 << 20))
    refused(packed(program, tmp_path / "k", kind, 316 << 20, body), "is cut off")


@pytest.mark.parametrize("kind", [1, 2])
def test_section_of_zeros(program, tmp_path, kind):
    """As many as are believed: they are unpacked, and the first unit is refused."""
    zeros = bytes(316 << 20)
    body = zlib.compress(zeros) if kind == 1 else zstandard.compress(zeros)
    refused(packed(program, tmp_path / "k", kind, 316 << 20, body), "has no unit at 0x0")


def test_zstd_frame_that_claims_too_much(program, tmp_path):
    """Its own header says 1 EiB; the section says 64 KiB."""
    frame = b"\x28\xb5\x2f\xfd" + b"\xe0" + (1 << 60).to_bytes(8, "little") + b"\1\0\0"
    refused(packed(program, tmp_path / "k", 2, 1 << 16, frame), "damaged")


def test_btf_with_a_name_again_and_again(program, tmp_path):
    """2,000 structs of one name with 600 members each."""
    types = struct.pack("<III", 0, 1 << 24, 4) + struct.pack("<I", 32)
    names = b"\0fpu\0"
    members = struct.pack("<III", 1, 1, 0) * 600
    types += (struct.pack("<III", 1, 4 << 24 | 600, 4) + members) * 2000
    head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(names))
    (tmp_path / "btf").write_bytes(head + types + names)
    run("objcopy", "--add-section", f".BTF={tmp_path / 'btf'}", program, tmp_path / "k")
    refused(tmp_path / "k", "too many members")
