# SPDX-License-Identifier: GPL-2.0-or-later
"""Paths through layouts, and layouts as JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdbfpu.errors import CorruptState, MissingMember, MissingType
from gdbfpu.layouts.types import Layouts, Member, StructLayout

LAYOUTS = Layouts(
    [
        StructLayout(
            "task",
            100,
            (
                Member("pid", 4, 4),
                Member("thread", 40, 60, "thread"),
                Member("parent", 8, 8, "task", pointer=True),
                Member("lost", 16, 8, "nowhere"),
            ),
        ),
        StructLayout(
            "thread",
            60,
            (
                Member("sp", 0, 8),
                Member("fpu", 20, 40, "fpu"),
                Member("bit", 9, 4, bit_offset=3, bit_size=2),
                Member("array", 10, 6, count=3),
            ),
        ),
        StructLayout("fpu", 40, (Member("state", 7, 33, "task"),)),
    ]
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("pid", Member("pid", 4, 4)),
        ("thread", Member("thread", 40, 60, "thread")),
        ("thread.sp", Member("sp", 40, 8)),
        ("thread.fpu", Member("fpu", 60, 40, "fpu")),
        ("thread.fpu.state.pid", Member("pid", 71, 4)),
        ("thread.bit", Member("bit", 49, 4, bit_offset=3, bit_size=2)),
        ("thread.array", Member("array", 50, 6, count=3)),
        ("parent", Member("parent", 8, 8, "task", pointer=True)),
    ],
)
def test_member_at_a_path(path, expected):
    assert LAYOUTS.member("task", path) == expected
    assert LAYOUTS.find("task", path) == expected
    assert LAYOUTS.offset("task", path) == expected.offset


@pytest.mark.parametrize(
    ("path", "type_name", "member"),
    [
        ("tgid", "task", "tgid"),
        ("thread.nothing", "thread", "nothing"),
        ("thread.fpu.nothing", "fpu", "nothing"),
        ("pid.low", "task", "pid.low"),  # a scalar has no members
        ("parent.pid", "task", "parent.pid"),  # a pointer is not followed
        ("", "task", ""),
        ("thread.", "thread", ""),
    ],
)
def test_missing_member_is_named(path, type_name, member):
    with pytest.raises(MissingMember) as caught:
        LAYOUTS.member("task", path)
    assert (caught.value.type_name, caught.value.member) == (type_name, member)
    assert LAYOUTS.find("task", path) is None


def test_missing_type_is_named():
    for name, path in (("nowhere", "x"), ("task", "lost.x")):
        with pytest.raises(MissingType) as caught:
            LAYOUTS.offset(name, path)
        assert caught.value.name == "nowhere"
        assert LAYOUTS.find(name, path) is None
    with pytest.raises(MissingType, match="'nowhere'"):
        LAYOUTS.struct("nowhere")


def test_names_and_presence():
    assert LAYOUTS.names() == ("fpu", "task", "thread")
    assert "fpu" in LAYOUTS
    assert "xregs_state" not in LAYOUTS
    assert LAYOUTS.struct("task").get("parent") == Member("parent", 8, 8, "task", True)
    assert LAYOUTS.struct("task").get("thread.sp") is None


NAMES = st.text(st.sampled_from('ab_0.é"\\\U0001f600'), max_size=4)


@st.composite
def members(draw, end):
    """A member of a type of `end` bytes, which may be a bit-field."""
    offset = draw(st.integers(0, end))
    width = draw(st.none() | st.integers(1, min(64, 8 * (end - offset)))) if offset < end else None
    first = None if width is None else draw(st.integers(0, min(7, 8 * (end - offset) - width)))
    size = draw(st.integers(0, 8 if width else end - offset))
    counts = st.none() | st.integers(0, 9)
    return Member(draw(NAMES), offset, size, draw(NAMES), draw(st.booleans()), draw(counts),
        first, width)  # fmt: skip


@st.composite
def structs(draw):
    size = draw(st.integers(0, 1 << 31))
    return StructLayout(draw(NAMES), size, tuple(draw(st.lists(members(size), max_size=3))))


@settings(max_examples=40, deadline=None)
@given(st.lists(structs(), max_size=3, unique_by=lambda struct: struct.name), NAMES)
def test_json_round_trip(structs, source):
    text = json.dumps(Layouts(structs, source).to_json())
    again = Layouts.from_json(json.loads(text))
    assert again.source == source
    assert [again.struct(s.name) for s in structs] == structs
    assert again.names() == tuple(sorted(s.name for s in structs))


def test_json_is_as_documented():
    one = Layouts([StructLayout("s", 8, (Member("m", 4, 4),))], "by hand").to_json()
    assert one == {
        "source": "by hand",
        "note": "",
        "structs": [
            {
                "name": "s",
                "size": 8,
                "members": [
                    {
                        "name": "m",
                        "offset": 4,
                        "size": 4,
                        "type": "",
                        "pointer": False,
                        "count": None,
                        "bit_offset": None,
                        "bit_size": None,
                    },
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"structs": [], "sources": "x"},
        {"source": "x", "note": "", "structs": None},
        {"source": "x", "note": "", "structs": [{"name": "s", "size": 1}]},
        {
            "source": "x",
            "note": "",
            "structs": [{"name": "s", "size": 1, "members": [{"name": "m"}]}],
        },
        {"source": "x", "note": "", "structs": [{"name": "s", "size": 1, "members": [{"odd": 1}]}]},
        {"source": "x", "note": "", "structs": "abc"},
        "text",
        7,
    ],
)
def test_other_json_is_refused(data):
    with pytest.raises(CorruptState, match="layouts"):
        Layouts.from_json(data)


def hostile(**changes):
    """Layouts of one member of one type as JSON, changed; `structs` and `source` at the top."""
    member = vars(Member("m", 4, 4)).copy()
    struct = {"name": "s", "size": 8, "members": [member]}
    data = {"source": "DWARF", "note": "", "structs": [struct]}
    for key, value in changes.items():
        where, _, name = key.partition("__")
        {"member": member, "struct": struct, "data": data}[where][name] = value
    return data


@pytest.mark.parametrize(
    "changes",
    [
        {"member__offset": 5},
        {"member__offset": -1},
        {"member__offset": "4"},
        {"member__offset": True},
        {"member__offset": 4.0},
        {"member__offset": None},
        {"member__offset": 1 << 70},
        {"member__size": 5},
        {"member__size": -4},
        {"member__count": -1},
        {"member__count": 1 << 40},
        {"member__count": "3"},
        {"member__pointer": 1},
        {"member__type": None},
        {"member__type": ["fpu"]},
        {"member__name": "\x1b[2J"},
        {"member__name": "a\nb"},
        {"member__name": "m" * 257},
        {"member__bit_offset": 0},
        {"member__bit_size": 1},
        {"member__bit_offset": 8, "member__bit_size": 1},
        {"member__bit_offset": 7, "member__bit_size": 26},  # up to bit 33 of four bytes
        {"member__odd": 1},
        {"struct__size": 7},
        {"struct__size": (1 << 31) + 1},
        {"struct__name": 7},
        {"struct__members": {}},
        {"struct__members": [None]},
        {"struct__odd": 1},
        {"data__source": "\x1b[31mDWARF"},
        {"data__source": None},
        {"data__note": "\x1b[31m"},
        {"data__note": None},
        {"data__structs": [hostile()["structs"][0]] * 2},
        {"data__odd": 1},
    ],
)
def test_hostile_json_is_refused(changes):
    assert Layouts.from_json(hostile()).member("s", "m") == Member("m", 4, 4)
    with pytest.raises(CorruptState, match="not layouts written by gdbfpu") as caught:
        Layouts.from_json(hostile(**changes))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_a_bit_field_may_be_declared_wider_than_what_is_left():
    """As `unsigned long b:4` in the last byte of its type."""
    field = {"member__offset": 7, "member__size": 8}
    data = hostile(**field, member__bit_offset=4, member__bit_size=4)
    assert Layouts.from_json(data).member("s", "m").bit_size == 4
