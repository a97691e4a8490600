# SPDX-License-Identifier: GPL-2.0-or-later
"""The map of an area: every byte has a name, and the stale ones are counted by hand."""

from __future__ import annotations

import pytest
from audit_machines import M44, M66, M310, M510, SYMBOLS, M41Xsaves, M44Eager

from gdbfpu.audit import bytemap
from gdbfpu.audit.bytemap import map_json, map_table, read_map
from gdbfpu.errors import UsageError
from gdbfpu.text.screen import Screen

X87 = [
    (0, 5, "x87", "in use"),
    (5, 6, "x87", "padding"),
    (6, 24, "x87", "in use"),
    (24, 32, "MXCSR and its mask", "in use"),
    *(
        piece
        for i in range(8)
        for piece in (
            (32 + 16 * i, 42 + 16 * i, "x87", "in use"),
            (42 + 16 * i, 48 + 16 * i, "x87", "padding"),
        )
    ),
]
"""SDM volume 1, table 10-2: FXSAVE64's image up to XMM0."""
LEGACY = [
    *X87,
    (160, 416, "SSE", "in use"),
    (416, 464, "reserved", "reserved"),
    (464, 512, "software", "padding"),
]


def mapped(m, task, *, gaps=True):
    snapshot = m.snapshot(gaps=gaps)
    return read_map(snapshot, snapshot.view(m.task(task)))


def pieces(found):
    return [(p.start, p.end, p.component, p.kind) for p in found.pieces]


def copies(found):
    return {way.name: copied for way, copied in found.paths}


def test_standard_image_in_use():
    m = M44()
    found = mapped(m, m.bob)
    assert pieces(found) == [*LEGACY, (512, 576, "", "header"), (576, 832, "AVX", "in use")]
    assert {p.dirty for p in found.pieces} == {0}
    assert set(copies(found).values()) == {0}


def test_standard_image_with_gaps():
    m = M510()
    m.poke(m.bob, 900, b"\1\0\2")
    expected = [
        *LEGACY,
        (512, 576, "", "header"),
        (576, 832, "AVX", "in use"),
        (832, 2688, "", "padding"),
        (2688, 2696, "PKRU", "in use"),
    ]
    found = mapped(m, m.bob)
    assert pieces(found) == expected
    assert [p.dirty for p in found.pieces if p.dirty] == [2]
    assert [p.dirty for p in found.pieces if p.start == 832] == [2]


def test_compacted_image():
    m = M66()
    found = mapped(m, m.carol)
    assert pieces(found)[len(LEGACY) :] == [
        (512, 576, "", "header"),
        (576, 832, "AVX", "in use"),
        (832, 840, "PKRU", "in use"),
        (840, 856, "CET_U", "initial"),
        (856, 896, "", "padding"),
        (896, 960, "TILECFG", "initial"),
        (960, 9152, "TILEDATA", "initial"),
    ]


def stale(m, task):
    """AVX's bit is clear; five bytes are left, one of them zero. x87's is clear; one is left."""
    m.xfeatures(task, 2)
    m.poke(task, 0, b"\x7f\x03".ljust(24, b"\0"))
    m.poke(task, 32, bytes(128))
    m.poke(task, 33, b"\5")
    m.poke(task, 576, bytes(256))
    m.poke(task, 600, b"\1\2\0\3\4")
    m.poke(task, 420, b"\1\1\1")
    m.poke(task, 44, b"\7")
    return mapped(m, task)


def test_stale_bytes():
    m = M44()
    found = stale(m, m.bob)
    assert [(p.start, p.end, p.component, p.dirty) for p in found.pieces if p.kind == "stale"] == [
        (33, 34, "x87", 1),
        (600, 602, "AVX", 2),
        (603, 605, "AVX", 2),
    ]
    assert [(p.start, p.end, p.kind) for p in found.pieces if p.component == "AVX"] == [
        (576, 600, "initial"),
        (600, 602, "stale"),
        (602, 603, "initial"),
        (603, 605, "stale"),
        (605, 832, "initial"),
    ]
    assert [p.kind for p in found.pieces if p.component == "x87" and p.start < 24] == [
        "initial",
        "padding",
        "initial",
    ]
    assert {p.start: p.dirty for p in found.pieces if p.dirty and p.kind != "stale"} == {
        42: 1,
        416: 3,
    }
    assert sum(p.end - p.start for p in found.pieces) == 832
    starts = [p.start for p in found.pieces]
    assert [p.end for p in found.pieces] == [*starts[1:], 832]


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (M44, {"NT_X86_XSTATE": 5, "a core dump": 5, "fork": 5}),
        (M44Eager, {"NT_X86_XSTATE": 5, "a core dump": 5, "exec": 5}),
        (M310, {"NT_X86_XSTATE": 5, "a core dump": 5, "fork": 5}),
    ],
)
def test_which_ways_take_stale_bytes_along(machine, expected):
    m = machine()
    found = copies(stale(m, m.bob))
    assert {name: count for name, count in found.items() if count} == expected


def test_a_way_of_the_legacy_region_takes_what_is_in_it():
    m = M44()
    m.forget("fpstate_sanitize_xstate")
    found = copies(stale(m, m.bob))
    assert found["NT_PRFPREG"] == found["NT_PRXFPREG of a 32-bit task"] == 1
    assert found["a signal frame"] == found["NT_X86_XSTATE"] == 5


def test_byte_511_is_legacy_and_576_is_not():
    m = M44()
    m.forget("fpstate_sanitize_xstate")
    m.xfeatures(m.bob, 1)
    m.poke(m.bob, 160, bytes(255) + b"\1")
    m.poke(m.bob, 576, b"\1" + bytes(255))
    found = copies(mapped(m, m.bob))
    assert (found["NT_PRFPREG"], found["NT_X86_XSTATE"]) == (1, 2)


def test_fxsave_image():
    m = M44()
    m.put("xfeatures_mask", 0)
    m.target.put_int(SYMBOLS["xstate_size"], 512, 4)
    assert pieces(mapped(m, m.bob)) == LEGACY


def test_a_task_without_an_area():
    m = M41Xsaves()
    with pytest.raises(UsageError, match=r"^bob \(pid 11\) has no FPU state in memory to map$"):
        mapped(m, m.bob)


# --- as text


def test_table():
    m = M44()
    lines = map_table(stale(m, m.bob), False).splitlines()
    assert lines[0] == f"bob (pid 11): 832 bytes at {m.at(m.bob):#x}"
    rows = [line.split() for line in lines]
    assert ["600", "601", "2", "stale", "AVX", "2"] in rows
    assert ["602", "602", "1", "initial", "AVX"] in rows
    assert ["416", "463", "48", "reserved", "reserved", "3"] in rows
    assert ["512", "575", "64", "header"] in rows
    assert ["42", "47", "6", "padding", "x87", "1"] in rows
    ways = [row for row in rows if row[:1] == ["NT_X86_XSTATE"]]
    assert ways[0][1:3] == ["xstateregs_get", "5"]
    fork = [row for row in rows if row[:1] == ["exec"]]
    assert fork[0][1:3] == ["fpu__clear", "none"]


def test_many_small_pieces_of_x87_are_one_row_where_all_padding_is_clean():
    m = M44()
    rows = [line.split() for line in map_table(mapped(m, m.bob), False).splitlines()]
    assert ["0", "23", "24", "in", "use", "x87"] in rows
    assert ["32", "159", "128", "in", "use", "x87"] in rows
    assert sum(row[-1:] == ["x87"] for row in rows) == 2


def test_bytes_are_shown_to_who_asks():
    m = M44()
    found = stale(m, m.bob)
    hidden, shown = map_table(found, False), map_table(found, True)
    assert shown.startswith(hidden)
    assert shown[len(hidden) :].split("\n") == [
        *("", "", "     33: 05", "    600: 0102", "    603: 0304")
    ]


def test_long_pieces_are_shown_by_lines_of_32_bytes():
    m = M44()
    m.xfeatures(m.bob, 3)
    m.poke(m.bob, 576, bytes([1]) * 40 + bytes(216))
    lines = map_table(mapped(m, m.bob), True).splitlines()[-2:]
    assert lines == ["    576: " + " ".join(["01010101"] * 8), "    608: 01010101 01010101"]


def test_json():
    m = M44()
    found = stale(m, m.bob)
    hidden, shown = map_json(found, False), map_json(found, True)
    assert {key: hidden[key] for key in ("pid", "comm", "address", "size")} == {
        "pid": 11,
        "comm": "bob",
        "address": hex(m.at(m.bob)),
        "size": 832,
    }
    assert {piece["value"] for piece in hidden["pieces"]} == {None}
    piece = next(piece for piece in shown["pieces"] if piece["start"] == 600)
    assert piece == {
        "start": 600,
        "end": 602,
        "component": "AVX",
        "kind": "stale",
        "dirty": 2,
        "value": "0102",
    }
    assert "".join(piece["value"] for piece in shown["pieces"]) == m.peek(m.bob, 0, 832).hex()
    way = next(way for way in hidden["paths"] if way["name"] == "NT_X86_XSTATE")
    assert (way["function"], way["raw"], way["stale_bytes"]) == ("xstateregs_get", True, 5)


def test_ways_are_folded_where_the_screen_does_not_fold_them():
    text = "a word " * 30
    folded = bytemap._how(text, Screen()).splitlines()
    assert len(folded) > 1
    assert max(map(len, folded)) <= 48
    assert bytemap._how(text, Screen(80)) == text
