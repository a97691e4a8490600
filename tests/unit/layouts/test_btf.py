# SPDX-License-Identifier: GPL-2.0-or-later
"""Layouts read from BTF that pahole made, held to the compiled program, to DWARF and to pahole.

What GCC and pahole do not make is put together here by hand, as btf.rst describes it.
"""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdbfpu.errors import CorruptState, GdbFpuError, MissingType
from gdbfpu.layouts import btf, elf
from gdbfpu.layouts import search as dwarf
from gdbfpu.layouts.types import Member

SOURCE = Path(__file__).parents[2] / "data" / "dwarf" / "types.c"
TYPES = ("outer", "inner", "flexible", "packed", "bits", "fpregs", "list_head")
TYPEDEFS = ("atomic_t", "unnamed_pair")
WANTED = (*TYPES, *TYPEDEFS)
BITS = {"a", "b", "signed_one", "c", "far", "in_anonymous", "last"}


def run(*argv, cwd=None):
    return subprocess.run(
        argv, cwd=cwd, check=True, capture_output=True, text=True, timeout=60
    ).stdout


@pytest.fixture(scope="module", params=[(4, ()), (5, ()), (5, ("--btf_gen_floats",))], ids=str)
def program(request, tmp_path_factory):
    """The program of types.c with DWARF of one version, and the BTF that pahole makes of it."""
    version, options = request.param
    file = tmp_path_factory.mktemp("btf") / "types"
    run("gcc", f"-gdwarf-{version}", "-gstrict-dwarf", "-no-pie", "-o", file, SOURCE)
    run("pahole", "-J", *options, file)
    return file


@pytest.fixture(scope="module")
def section(program):
    return elf.btf_section(program)


@pytest.fixture(scope="module")
def layouts(section):
    return btf.read_layouts(section, WANTED)


@pytest.fixture(scope="module")
def said(program):
    """What the program prints: lists of type, member and two numbers."""
    lines = [line.rsplit(" ", 3) for line in run(program).splitlines()]
    return [(kind, member, int(one), int(two)) for kind, member, one, two in lines]


def test_source(layouts):
    assert layouts.source == "BTF"


def test_sizes_of_types(layouts, said):
    expected = {kind: size for kind, member, _, size in said if member == "-"}
    assert len(expected) == 9
    assert {name: layouts.struct(name).size for name in expected} == expected


def test_offsets_and_sizes_of_members(layouts, said):
    expected = {
        (kind, member): (offset, size)
        for kind, member, offset, size in said
        if member != "-" and not (kind == "bits" and member in BITS)
    }
    assert len(expected) > 35
    found = {key: layouts.member(*key) for key in expected}
    assert {key: (m.offset, m.size) for key, m in found.items()} == expected


def test_bit_fields(layouts, said):
    expected = {
        member: (first, width)
        for kind, member, first, width in said
        if kind == "bits" and member in BITS
    }
    assert set(expected) == BITS
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
        ("qualified", "inner", False, None),
        ("to_const", "inner", True, None),
        ("to_pointer", "", True, None),
        ("pair", "inner", False, 3),
        ("pointers", "inner", True, 5),
        ("nothing", "", True, None),
        ("function", "", True, None),
        ("matrix", "", False, 6),
        ("colour", "", False, None),
        ("usage", "", False, None),
        ("tasks.next", "list_head", True, None),
        ("declared_only", "elsewhere", True, None),
        ("state", "fpregs", False, None),
        ("empty", "", False, 0),
        ("extended", "", False, None),
    ],
)
def test_what_a_member_is(layouts, path, type_name, pointer, count):
    member = layouts.member("outer", path)
    assert (member.type, member.pointer, member.count) == (type_name, pointer, count)


def test_equal_to_dwarf(program, layouts):
    """Every field of every member, in order."""
    anchor = next(
        int(line.split()[0], 16)
        for line in run("nm", program).splitlines()
        if line.endswith(" anchor")
    )
    other = dwarf.read_layouts(program, WANTED, {"anchor": anchor})
    assert layouts.names() == other.names() == tuple(sorted(WANTED))
    for name in WANTED:
        assert layouts.struct(name) == other.struct(name)


def test_equal_to_pahole(program, layouts):
    """pahole's own reading of the BTF, lines of `MEMBER; /* OFFSET SIZE */`."""
    shown = run("pahole", "-F", "btf", "-C", "list_head,inner,packed,fpregs,flexible", program)
    expected = {
        (heading[1], name): (int(offset), int(size))
        for heading in re.finditer(r"^\w+ (\w+) \{\n(.*?)^\}", shown, re.MULTILINE | re.DOTALL)
        for name, offset, size in re.findall(
            r"(\w+)(?:\[\d*\])?;\s+/\*\s+(\d+)\s+(\d+) \*/", heading[2]
        )
    }
    assert len(expected) == 12
    found = {key: layouts.member(*key) for key in expected}
    assert {key: (m.offset, m.size) for key, m in found.items()} == expected


def test_only_what_was_asked_for(program):
    data = elf.btf_section(program)
    wanted = ("inner", "elsewhere", "outer_alias", "qualified_inner", "no_such_type", "colour")
    # a declaration, typedefs of tagged structs and an enum are no layouts of that name
    assert btf.read_layouts(data, wanted).names() == ("inner",)
    assert btf.read_layouts(data, ()).names() == ()
    with pytest.raises(MissingType) as caught:
        btf.read_layouts(data, ("no_such_type", "colour"))
    assert caught.value.name == "colour"


# --- the section in the file


def test_file_without_btf(tmp_path):
    run("gcc", "-g", "-o", tmp_path / "plain", SOURCE)
    assert elf.btf_section(tmp_path / "plain") is None


def compressed(program, path):
    """A copy of the program whose .BTF is compressed; objcopy does that to .debug_* only."""
    run("objcopy", "--rename-section", ".BTF=.debug_btf", program, path)
    run("objcopy", "--compress-debug-sections=zlib-gabi", path)
    run("objcopy", "--rename-section", ".debug_btf=.BTF", path)
    return path


def test_compressed_section(program, tmp_path):
    file = compressed(program, tmp_path / "compressed")
    assert re.search(r"\.BTF .*\n.* C ", run("readelf", "-S", file))
    assert elf.btf_section(file) == elf.btf_section(program)


def test_damaged_compression(program, tmp_path):
    file = compressed(program, tmp_path / "compressed")
    line = next(line for line in run("readelf", "-SW", file).splitlines() if ".BTF" in line)
    offset = int(line.partition("PROGBITS")[2].split()[1], 16)
    data = bytearray(file.read_bytes())
    data[offset + 24 : offset + 40] = b"\xff" * 16  # behind the header Elf64_Chdr
    file.write_bytes(data)
    with pytest.raises(CorruptState, match=r"compressed is damaged"):
        elf.btf_section(file)


def test_section_whose_contents_are_elsewhere(program, tmp_path):
    """A kernel's .BTF is loaded, so its file of debugging information alone lacks the contents."""
    file = tmp_path / "debug"
    run("objcopy", "--set-section-flags", ".BTF=alloc,readonly", program, file)
    run("objcopy", "--only-keep-debug", file)
    assert re.search(r"\.BTF +NOBITS", run("readelf", "-S", file))
    assert elf.btf_section(file) is None


# --- BTF made by hand

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST = range(1, 11)
RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(11, 20)


class Btf:
    """A BTF put together type by type; ids count from 1, as they are added."""

    def __init__(self):
        self.types, self.names, self.count = b"", b"\0", 0

    def name(self, text: str) -> int:
        if not text:
            return 0
        offset = len(self.names)
        self.names += text.encode() + b"\0"
        return offset

    def add(self, kind, name="", value=0, *words, vlen=0, flag=0):
        """Add a type with the u32 `words` behind its struct btf_type; return its id."""
        head = (self.name(name), flag << 31 | kind << 24 | vlen, value)
        self.types += struct.pack(f"<{3 + len(words)}I", *head, *(w & 0xFFFFFFFF for w in words))
        self.count += 1
        return self.count

    def record(self, name, size, *members, kind=STRUCT, flag=0):
        """Add a struct; `members` are name, type id and offset in bits."""
        words = [word for text, *rest in members for word in (self.name(text), *rest)]
        return self.add(kind, name, size, *words, vlen=len(members), flag=flag)

    def int(self, size=4):
        return self.add(INT, "int", size, 1 << 24 | 8 * size)

    def data(self, **header):
        parts = {
            "magic": 0xEB9F,
            "version": 1,
            "flags": 0,
            "hdr_len": 24,
            "type_off": 0,
            "type_len": len(self.types),
            "str_off": len(self.types),
            "str_len": len(self.names),
        } | header
        head = struct.pack("<HBBIIIII", *parts.values())
        return head.ljust(parts["hdr_len"], b"\xaa") + self.types + self.names

    def members(self, name="s"):
        return btf.read_layouts(self.data(), [name]).struct(name).members


def test_every_kind_is_stepped_over():
    made = Btf()
    number = made.int()
    made.add(PTR, "", number)
    made.add(ARRAY, "", 0, number, number, 7)
    made.record("before", 4, ("a", number, 0))
    made.record("either", 4, ("a", number, 0), ("b", number, 0), kind=UNION)
    made.add(ENUM, "colour", 4, made.name("red"), 0, made.name("green"), -1, vlen=2, flag=1)
    made.add(FWD, "elsewhere", 0, flag=1)
    for kind in (TYPEDEF, VOLATILE, CONST, RESTRICT):
        made.add(kind, "alias" if kind == TYPEDEF else "", number)
    proto = made.add(FUNC_PROTO, "", number, made.name("x"), number, 0, 0, vlen=2)
    made.add(FUNC, "main", proto, vlen=1)  # here it is the linkage
    variable = made.add(VAR, "jiffies", number, 1)
    made.add(DATASEC, ".data", 16, *(variable, 0, 4), *(variable, 8, 4), vlen=2)
    made.add(FLOAT, "double", 8)
    made.add(DECL_TAG, "user", variable, -1, flag=1)
    made.add(TYPE_TAG, "percpu", number)
    made.add(ENUM64, "big", 8, made.name("far"), 1, 2, vlen=1)
    made.record("s", 8, ("first", number, 0), ("second", number, 32))
    assert made.members() == (Member("first", 0, 4), Member("second", 4, 4))
    assert made.members("before") == (Member("a", 0, 4),)
    assert made.members("either") == (Member("a", 0, 4), Member("b", 0, 4))


def test_types_of_members():
    made = Btf()
    number, inner = made.int(), made.record("inner", 16)
    tagged = made.add(TYPE_TAG, "percpu", inner)
    unions = made.add(FWD, "later", 0, flag=1)
    row = made.add(ARRAY, "", 0, number, number, 3)
    alias = made.add(TYPEDEF, "row_t", row)
    members = {
        "to_tagged": made.add(PTR, "", tagged),
        "to_union": made.add(PTR, "", unions),
        "to_void": made.add(PTR, "", 0),
        "rows": made.add(ARRAY, "", 0, row, number, 2),
        "row_ts": made.add(ARRAY, "", 0, alias, number, 2),
        "structs": made.add(ARRAY, "", 0, made.add(CONST, "", inner), number, 2),
        "real": made.add(FLOAT, "double", 8),
        "big": made.add(ENUM64, "big", 8),
    }
    places = [(name, ident, 64 * 4 * i) for i, (name, ident) in enumerate(members.items())]
    made.record("s", 32 * len(places), *places)
    assert made.members() == (
        Member("to_tagged", 0, 8, "inner", True),
        Member("to_union", 32, 8, "later", True),
        Member("to_void", 64, 8, "", True),
        Member("rows", 96, 24, "", False, 6),  # int rows[2][3]
        Member("row_ts", 128, 24, "", False, 2),  # row_t row_ts[2]
        Member("structs", 160, 32, "inner", False, 2),
        Member("real", 192, 8),
        Member("big", 224, 8),
    )


def test_anonymous_members():
    made = Btf()
    number = made.int()
    deep = made.record("", 4, ("deep", number, 3 | 5 << 24), flag=1)
    either = made.record("", 8, ("one", number, 32), ("", deep, 0), kind=UNION)
    middle = made.add(CONST, "", made.record("", 12, ("", either, 32)))
    made.record("s", 20, ("", number, 7 << 24), ("", middle, 64), flag=1)
    assert made.members() == (
        Member("one", 8 + 4 + 4, 4),
        Member("deep", 8 + 4, 4, bit_offset=3, bit_size=5),
    )


def test_bit_field_in_the_last_byte():
    """Its type may reach beyond the struct, its bits may not."""
    made = Btf()
    number = made.int()
    made.record("s", 2, ("last", number, 15 | 1 << 24), flag=1)
    assert made.members() == (Member("last", 1, 4, bit_offset=7, bit_size=1),)
    made.record("over", 2, ("last", number, 15 | 2 << 24), flag=1)
    with pytest.raises(CorruptState, match="'last' is outside"):
        made.members("over")


def test_places_with_and_without_bit_fields():
    """24 bits of place beside the width, 32 where no member is a bit-field."""
    made = Btf()
    number = made.int()
    made.record("s", 1 << 21, ("far", number, (1 << 24) - 32), flag=1)
    made.record("plain", 1 << 29, ("far", number, (1 << 32) - 32))
    assert made.members() == (Member("far", (1 << 21) - 4, 4),)
    assert made.members("plain") == (Member("far", (1 << 29) - 4, 4),)


def test_unnamed_struct_by_its_typedef():
    made = Btf()
    number = made.int()
    unnamed = made.record("", 4, ("counter", number, 0))
    made.add(TYPEDEF, "atomic_t", unnamed)
    made.add(TYPEDEF, "again", made.count)
    assert made.members("atomic_t") == made.members("again") == (Member("counter", 0, 4),)


def test_copies_of_a_type():
    """Deduplication can leave equal copies; of different ones none is the right one."""
    made = Btf()
    number = made.int()
    made.record("s", 4, ("a", number, 0))
    made.record("s", 4, ("a", number, 0))
    assert made.members() == (Member("a", 0, 4),)
    made.record("s", 8, ("a", number, 32))
    with pytest.raises(CorruptState, match="several types called 's'"):
        made.members()


def test_longer_header():
    made = Btf()
    made.record("s", 4, ("a", made.int(), 0))
    found = btf.read_layouts(made.data(hdr_len=32), ["s"])
    assert found.struct("s").members == (Member("a", 0, 4),)


def test_names_before_types():
    made = Btf()
    made.record("s", 4, ("a", made.int(), 0))
    names = made.names.ljust(-len(made.names) % 4 + len(made.names), b"\0")
    head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, len(names), len(made.types), 0, len(names))
    assert btf.read_layouts(head + names + made.types, ["s"]).struct("s").size == 4


# --- damage


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"magic": 0x9FEB}, "not little-endian BTF: it starts with 0x9feb"),
        ({"magic": 0}, "not little-endian BTF"),
        ({"version": 2}, "version 2"),
        ({"flags": 1}, "flags 0x1"),
        ({"hdr_len": 20}, "header points outside"),
        ({"hdr_len": 0xFFFFFFFF - 64}, None),
        ({"type_len": 0xFFFFFFF0}, "header points outside"),
        ({"type_off": 0x10000}, "header points outside"),
        ({"str_off": 0xFFFFFFFF}, "header points outside"),
        ({"str_len": 0x7FFFFFFF}, "header points outside"),
        ({"str_len": 0}, "strings do not start"),
        ({"str_off": 7}, "strings do not start"),
        ({"type_len": 20}, "last type is cut off"),
    ],
)
def test_damaged_header(header, message):
    made = Btf()
    made.record("s", 4, ("a", made.int(), 0))
    data = made.data() if message is None else made.data(**header)
    if message is None:  # as if the header were nearly 4 GiB long
        data, message = data[:4] + struct.pack("<I", header["hdr_len"]) + data[8:], "outside"
    with pytest.raises(CorruptState, match=message):
        btf.read_layouts(data, ["s"])


@pytest.mark.parametrize("length", [0, 1, 2, 23])
def test_short_data(length):
    with pytest.raises(CorruptState, match=f"it is {length} bytes long"):
        btf.read_layouts(Btf().data()[:length], ["s"])


@pytest.mark.parametrize("kind", [0, 20, 31, 127])
def test_unknown_kind(kind):
    made = Btf()
    made.record("s", 0)
    made.types += struct.pack("<III", 0, kind << 24, 0)
    with pytest.raises(CorruptState, match=f"not know types of kind {kind} in BTF"):
        made.members()


def looping_typedef(made):
    return made.record("s", 8, ("a", made.add(TYPEDEF, "t", made.count + 1), 0))


def looping_array(made):
    ident = made.count + 1
    return made.record("s", 8, ("a", made.add(ARRAY, "", 0, ident, ident, 2), 0))


def looping_array_through_a_typedef(made):
    ident = made.add(TYPEDEF, "t", made.count + 2)
    return made.record("s", 8, ("a", made.add(ARRAY, "", 0, ident, ident, 2), 0))


def struct_in_itself(made):
    inner = made.record("", 8, ("", made.count + 1, 0))
    return made.record("s", 8, ("", inner, 0))


def structs_in_structs(made):
    """Four levels of 4096 anonymous structs each: 2^48 of them, and not one member."""
    inner = made.record("", 0)
    for _ in range(4):
        inner = made.record("", 0, *[("", inner, 0)] * 4096)
    return made.record("s", 0, ("", inner, 0))


def member_outside(made):
    return made.record("s", 7, ("a", made.int(), 32))


def member_of_no_type(made):
    return made.record("s", 8, ("a", 99, 0))


def member_within_a_byte(made):
    return made.record("s", 8, ("a", made.int(), 3))


def name_outside(made):
    return made.add(STRUCT, "s", 8, 0xFFFFFF, 0, 0, vlen=1)


def huge_array(made):
    number = made.int()
    for _ in range(40):
        number = made.add(ARRAY, "", 0, number, number, 0xFFFFFFFF)
    return made.record("s", 0xFFFFFFFF, ("a", number, 0))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (looping_typedef, "typedef refers to itself"),
        (looping_array, "array contains itself"),
        (looping_array_through_a_typedef, "array contains itself"),
        (struct_in_itself, "struct contains itself"),
        (structs_in_structs, "too many members"),
        (member_outside, "'a' is outside its struct"),
        (member_of_no_type, "no type 99"),
        (member_within_a_byte, "'a' does not start at a whole byte"),
        (name_outside, "no name at 16777215"),
        (huge_array, "'a' is outside its struct"),
    ],
)
def test_damaged_type(damage, message):
    made = Btf()
    damage(made)
    with pytest.raises(CorruptState, match=message):
        made.members()


def test_unterminated_name():
    made = Btf()
    made.record("s", 4, ("a", made.int(), 0))
    made.names = made.names[:-1]
    with pytest.raises(CorruptState, match="no name at"):
        made.members()


def test_more_than_is_believed():
    made = Btf()
    made.record("s", 0)
    head = made.data()[: btf.HEADER_SIZE]
    types, names = btf.check_header(head, btf.MAX_SIZE)
    assert (types.start, names.stop) == (24, 24 + 12 + 3)
    with pytest.raises(CorruptState, match="it is 67108865 bytes long"):
        btf.check_header(head, btf.MAX_SIZE + 1)


def survives(data):
    """Read damaged data; whatever is raised is of ours, and one line."""
    try:
        btf.read_layouts(data, WANTED)
    except GdbFpuError as error:
        assert isinstance(error, (CorruptState, MissingType))
        assert str(error)
        assert "\n" not in str(error)
        return False
    return True


@settings(max_examples=150, deadline=None)  # for each of three programs
@given(
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    words=st.lists(
        st.tuples(
            st.floats(0, 1, exclude_max=True),
            st.one_of(st.integers(0, 64), st.integers(0, 0xFFFFFFFF)),
        ),
        max_size=4,
    ),
    length=st.one_of(st.none(), st.floats(0, 1)),
)
def test_damage_never_raises_anything_else(section, changes, words, length):
    data = bytearray(section)
    for place, byte in changes:
        data[int(place * len(data))] = byte
    for place, word in words:
        struct.pack_into("<I", data, int(place * (len(data) // 4)) * 4, word)
    survives(bytes(data if length is None else data[: int(length * len(data))]))


@given(st.binary(max_size=200))
def test_noise_behind_a_header(noise):
    half = len(noise) // 8 * 4
    head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, half, half, len(noise) - half)
    survives(head + noise)


def test_every_truncation_is_refused(section):
    assert survives(section)
    assert not any(survives(section[:length]) for length in range(0, len(section), 7))
