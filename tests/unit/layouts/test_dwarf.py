# SPDX-License-Identifier: GPL-2.0-or-later
"""Layouts read from DWARF 2 to 5, held to what the compiled program itself says of them."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from gdbfpu.errors import CorruptState, GdbFpuError, MissingType
from gdbfpu.layouts import elf
from gdbfpu.layouts import search as dwarf
from gdbfpu.layouts.types import Layouts, Member

SOURCE = Path(__file__).parents[2] / "data" / "dwarf" / "types.c"
VERSIONS = (2, 3, 4, 5)
TYPES = {"outer", "inner", "flexible", "packed", "bits", "fpregs", "list_head"}
TYPEDEFS = {"atomic_t", "unnamed_pair"}
ID = "00112233445566778899aabbccddeeff01234567"


def run(*argv, cwd=None):
    return subprocess.run(
        argv, cwd=cwd, check=True, capture_output=True, text=True, timeout=60
    ).stdout


@pytest.fixture(scope="module")
def binaries(tmp_path_factory):
    """The program of types.c by DWARF version."""
    folder = tmp_path_factory.mktemp("dwarf")
    for version in VERSIONS:
        run(
            *("gcc", f"-gdwarf-{version}", "-gstrict-dwarf", "-no-pie", f"-Wl,--build-id=0x{ID}"),
            *("-o", f"dwarf{version}", SOURCE),
            cwd=folder,
        )
    return {version: folder / f"dwarf{version}" for version in VERSIONS}


@pytest.fixture(scope="module")
def symbols(binaries):
    """The addresses of the program's symbols, by DWARF version, as nm has them."""
    return {
        version: {
            fields[2]: int(fields[0], 16)
            for fields in map(str.split, run("nm", binary).splitlines())
            if len(fields) == 3
        }
        for version, binary in binaries.items()
    }


@pytest.fixture(scope="module", params=VERSIONS)
def version(request):
    return request.param


@pytest.fixture(scope="module")
def layouts(binaries, symbols, version):
    wanted = TYPES | TYPEDEFS
    return dwarf.read_layouts(binaries[version], wanted, {"anchor": symbols[version]["anchor"]})


@pytest.fixture(scope="module")
def said(binaries, version):
    """What the program prints: lists of type, member and two numbers."""
    lines = [line.rsplit(" ", 3) for line in run(binaries[version]).splitlines()]
    return [(kind, member, int(one), int(two)) for kind, member, one, two in lines]


def test_sizes_of_types(layouts, said):
    expected = {kind: size for kind, member, _, size in said if member == "-"}
    assert len(expected) == 9
    assert {name: layouts.struct(name).size for name in expected} == expected


def test_offsets_and_sizes_of_members(layouts, said):
    expected = {
        (kind, member): (offset, size)
        for kind, member, offset, size in said
        if member != "-" and (kind, member) not in BITS
    }
    assert len(expected) > 35
    found = {key: layouts.member(*key) for key in expected}
    assert {key: (m.offset, m.size) for key, m in found.items()} == expected


BITS = {("bits", name) for name in ("a", "b", "signed_one", "c", "far", "in_anonymous", "last")}


def test_bit_fields(layouts, said):
    expected = {
        member: (first, width) for kind, member, first, width in said if (kind, member) in BITS
    }
    assert len(expected) == 7
    found = {name: layouts.member("bits", name) for name in expected}
    assert {n: (8 * m.offset + m.bit_offset, m.bit_size) for n, m in found.items()} == expected
    assert all(0 <= m.bit_offset < 8 for m in found.values())
    after = layouts.member("bits", "after")
    assert (after.bit_offset, after.bit_size) == (None, None)


@pytest.mark.parametrize(
    ("path", "type_name", "pointer", "count"),
    [
        ("first", "", False, None),
        ("text", "", False, 11),
        ("embedded", "inner", False, None),
        ("qualified", "inner", False, None),
        ("to_const", "inner", True, None),
        ("to_pointer", "", True, None),
        ("pair", "inner", False, 3),
        ("pointers", "inner", True, 5),
        ("nothing", "", True, None),
        ("function", "", True, None),
        ("matrix", "", False, 6),
        ("marked", "", False, None),
        ("colour", "", False, None),
        ("usage", "", False, None),
        ("tasks", "list_head", False, None),
        ("tasks.next", "list_head", True, None),
        ("declared_only", "elsewhere", True, None),
        ("state", "fpregs", False, None),
        ("state.words", "", False, 13),
        ("empty", "", False, 0),
        ("extended", "", False, None),
        ("comm", "", False, 16),
        ("const_nothing", "", True, None),
    ],
)
def test_what_a_member_is(layouts, path, type_name, pointer, count):
    member = layouts.member("outer", path)
    assert (member.type, member.pointer, member.count) == (type_name, pointer, count)
    assert member.name == path.split(".")[-1]


def test_flexible_array(layouts):
    assert layouts.member("flexible", "entries") == Member("entries", 8, 0, "inner", False, 0)


def test_order_and_completeness(layouts):
    names = [member.name for member in layouts.struct("outer").members]
    assert names[:9] == [
        *("first", "in_anonymous", "in_union", "deep_a", "deep_b", "text"),
        *("embedded", "qualified", "to_const"),
    ]
    assert "" not in names
    assert [m.name for m in layouts.struct("list_head").members] == ["next", "prev"]


def test_only_what_was_asked_for(binaries, symbols, version):
    anchor = symbols[version]["anchor"]
    wanted = ("inner", "elsewhere", "outer_alias", "qualified_inner", "no_such_type", "colour")
    found = dwarf.read_layouts(binaries[version], wanted, {"anchor": anchor})
    # a declaration, typedefs of tagged structs and an enum are no layouts of that name
    assert found.names() == ("inner",)
    assert dwarf.read_layouts(binaries[version], (), {"anchor": anchor}).names() == ()


def test_json_round_trip(layouts):
    again = Layouts.from_json(layouts.to_json())
    assert again.names() == layouts.names()
    assert all(again.struct(name) == layouts.struct(name) for name in layouts.names())


def test_anchors_lead_to_the_units(binaries, symbols, tmp_path):
    """Each anchor gives the types of its own file, the second only what the first has not."""
    (tmp_path / "a.c").write_text(
        "struct one { int a; }; struct both { int a; }; struct one x; struct both z;"
        "int in_a(void) { return x.a + z.a; }"
    )
    (tmp_path / "b.c").write_text(
        "struct two { int pad, b; }; struct both { long pad; int a; }; struct two y;"
        "struct both w; int in_b(void) { return y.b + w.a; } int main(void) { return 0; }"
    )
    run("gcc", "-g", "-no-pie", "-o", "two", "a.c", "b.c", cwd=tmp_path)
    file = tmp_path / "two"
    at = {
        line.split()[2]: int(line.split()[0], 16)
        for line in run("nm", file).splitlines()
        if " T " in line
    }
    wanted = ("one", "two", "both")

    def read(*anchors):
        found = dwarf.read_layouts(file, wanted, {hex(a): a for a in anchors})
        return {name: found.struct(name).size for name in found.names()}

    assert read(at["in_a"]) == {"one": 4, "both": 4}
    assert read(at["in_b"]) == {"two": 8, "both": 16}
    assert read(at["in_a"], at["in_b"]) == {"one": 4, "both": 4, "two": 8}
    assert read(at["in_b"], at["in_b"], at["in_a"]) == {"one": 4, "both": 16, "two": 8}
    assert read(0x10, at["in_a"] + 1) == {"one": 4, "both": 4}  # inside the function, too
    with pytest.raises(MissingType) as caught:
        read(0x10)
    assert caught.value.name == "both"
    with pytest.raises(MissingType):
        read()


# --- the file itself


READERS = {
    "build_id": elf.build_id,
    "static_string": lambda path: elf.static_string(path, 0x402000),
    "symbol_addresses": lambda path: elf.symbol_addresses(path, ["anchor"]),
    "read_layouts": lambda path: dwarf.read_layouts(path, ["outer", "bits"], {"anchor": 0x401136}),
}


@pytest.fixture(params=READERS)
def reader(request):
    return READERS[request.param]


def assert_one_line(error):
    assert str(error)
    assert "\n" not in str(error)


def test_file_that_cannot_be_read(reader, tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(GdbFpuError, match=f"cannot read {path}") as caught:
            reader(path)
        assert_one_line(caught.value)


@pytest.mark.parametrize("text", [b"", b"\x7f", b"\x7fEL", b"#!/bin/sh\n" * 9, bytes(5000)])
def test_file_that_is_no_elf(reader, tmp_path, text):
    (tmp_path / "script").write_bytes(text)
    with pytest.raises(GdbFpuError, match=r"script is not an ELF file"):
        reader(tmp_path / "script")


def test_stripped_file_says_what_is_needed(binaries, symbols, tmp_path):
    run("strip", "-o", tmp_path / "stripped", binaries[4])
    with pytest.raises(GdbFpuError, match=r"no DWARF.*CONFIG_DEBUG_INFO") as caught:
        dwarf.read_layouts(tmp_path / "stripped", ["outer"], {"anchor": symbols[4]["anchor"]})
    assert_one_line(caught.value)


def test_file_without_aranges(binaries, symbols, tmp_path, layouts, version):
    """As Clang's are: the function's name leads to the unit."""
    run("objcopy", "--remove-section", ".debug_aranges", binaries[version], tmp_path / "bare")
    anchor = {"anchor": symbols[version]["anchor"]}
    found = dwarf.read_layouts(tmp_path / "bare", TYPES | TYPEDEFS, anchor)
    assert found.to_json() == layouts.to_json()


def aranges(binary, path, change):
    """Return a copy of `binary` at `path` whose .debug_aranges is what `change` makes of it."""
    part = path.with_suffix(".aranges")
    run("objcopy", "--dump-section", f".debug_aranges={part}", binary, path)
    part.write_bytes(change(part.read_bytes()))
    run("objcopy", "--update-section", f".debug_aranges={part}", binary, path)
    return path


def a_set(address_size, tuples, length=None):
    """A set of ranges (DWARF 5, 6.1.2) of the compile unit at 0x7fffff, which there is not."""
    body = b"\2\0" + 0x7FFFFF.to_bytes(4, "little") + bytes((address_size, 0))
    body += bytes(-(len(body) + 4) % (2 * address_size)) + tuples
    return (len(body) if length is None else length).to_bytes(4, "little") + body


def test_ranges_of_other_addresses_are_left_out(binaries, symbols, tmp_path):
    """As code for 32 bits in a kernel could have them."""
    anchor = symbols[4]["anchor"]
    other = a_set(4, anchor.to_bytes(4, "little") + b"\xff\0\0\0" + bytes(8))
    file = aranges(binaries[4], tmp_path / "mixed", lambda data: other + data)
    assert "outer" in dwarf.read_layouts(file, ["outer"], {"anchor": anchor})
    own = a_set(8, anchor.to_bytes(8, "little") + b"\xff" + bytes(7 + 16))
    file = aranges(binaries[4], tmp_path / "wrong", lambda data: data + own)
    with pytest.raises(CorruptState):  # the address does lead to that unit
        dwarf.read_layouts(file, ["outer"], {"anchor": anchor})


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x1000])
def test_ranges_that_are_cut_off(binaries, symbols, tmp_path, length):
    odd = a_set(8, bytes(16), length)
    file = aranges(binaries[4], tmp_path / "cut", lambda data: data + odd)
    with pytest.raises(CorruptState, match="debug_aranges is cut off"):
        dwarf.read_layouts(file, ["outer"], {"anchor": symbols[4]["anchor"]})


def test_member_at_a_computed_place_is_not_guessed(binaries, symbols, tmp_path):
    """DWARF 2 may say a place by any expression; only a constant one is an offset."""
    data = binaries[2].read_bytes()
    found = b"\x02\x23\x08"  # a block of two bytes: DW_OP_plus_uconst 8
    assert found in data
    (tmp_path / "odd").write_bytes(data.replace(found, b"\x02\x96\x96"))  # DW_OP_nop, twice
    with pytest.raises(CorruptState, match="no fixed offset"):
        dwarf.read_layouts(tmp_path / "odd", TYPES, {"anchor": symbols[2]["anchor"]})


@pytest.mark.parametrize("version", (4, 5))
def test_truncated_file(binaries, symbols, tmp_path, version):
    data = binaries[version].read_bytes()
    anchor = symbols[version]["anchor"]
    outcomes = set()
    for length in [*range(4, 80, 5), *range(80, len(data), len(data) // 40)]:
        (tmp_path / "cut").write_bytes(data[:length])
        try:
            dwarf.read_layouts(tmp_path / "cut", ["outer"], {"anchor": anchor})
            outcomes.add("read")
        except GdbFpuError as error:
            assert_one_line(error)
            outcomes.add("refused")
    assert outcomes == {"refused"}  # the section headers are at the end


@pytest.mark.parametrize("version", (4, 5))
def test_damaged_file_never_raises_anything_else(binaries, symbols, tmp_path, version):
    rng, data = random.Random(version), binaries[version].read_bytes()
    anchor, refused = symbols[version]["anchor"], 0
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(rng.choice((1, 5, 50))):
            damaged[rng.choice((rng.randrange(64), rng.randrange(len(data))))] = rng.randrange(256)
        (tmp_path / "damaged").write_bytes(damaged)
        try:
            elf.build_id(tmp_path / "damaged")
            dwarf.read_layouts(tmp_path / "damaged", ["outer", "bits"], {"anchor": anchor})
        except GdbFpuError as error:
            assert_one_line(error)
            refused += 1
    assert refused > 10
