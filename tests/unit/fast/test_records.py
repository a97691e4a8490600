# SPDX-License-Identifier: GPL-2.0-or-later
"""Records as the kernel's memory has them, laid out by hand, and rubbish in their place."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdbfpu.errors import CorruptState
from gdbfpu.fast.layout import CONTROL_SIZE, MAX_PROBES, Control, Flag, Record, Row
from gdbfpu.fast.options import Recording
from gdbfpu.fast.records import (
    Counted,
    Pass,
    Who,
    Words,
    check_words,
    parse_control,
    parse_ring,
    parse_table,
)

TASK, CHILD = 0xFFFF888003A41000, 0xFFFF888003A45000
CALLER = 0x8101D3CB
LIVE, KTHREAD, ACTIVE, OTHER, HEADER = 1, 2, 4, 8, 16


def fields(size, *values):
    """Bytes of a record: (offset, size, value) each, everything else 0xa5."""
    data = bytearray(b"\xa5" * size)
    for offset, length, value in values:
        raw = value if isinstance(value, bytes) else value.to_bytes(length, "little")
        data[offset : offset + length] = raw.ljust(length, b"\0")
    return bytes(data)


def slot(comm=b"Xorg", flags=HEADER, number=1, cpu=3, task=TASK, pid=43):
    return fields(
        64, (0, 8, 1000), (8, 8, task), (16, 8, 0x207), (24, 8, 1 << 63), (32, 16, comm),
        (48, 4, pid), (52, 4, 42), (56, 4, CALLER), (60, 2, cpu), (62, 1, number), (63, 1, flags),
    )  # fmt: skip


def row(hits=10, live=4, number=1, comm=b"Xorg", flags=HEADER | LIVE, **more):
    values = {"task": TASK, "cpu": 3, "first": 1000, "last": 2000, "pid": 43, **more}
    return fields(
        96, (0, 8, values["task"]), (8, 4, values["pid"]), (12, 4, number), (16, 8, hits),
        (24, 8, live), (32, 8, 0x207), (40, 4, values["cpu"]), (44, 4, flags),
        (48, 8, values["first"]), (56, 8, values["last"]), (64, 16, comm), (80, 4, 42),
        (84, 4, CALLER), (88, 8, 1 << 63),
    )  # fmt: skip


WHO = Who(TASK, 43, 42, "Xorg")


# --- the ring


def test_a_slot():
    (one,) = parse_ring(slot(), 2)
    assert one == Pass(1000, WHO, WHO, 1, 3, 0xFFFFFFFF8101D3CB, Flag.HEADER, 0x207, 1 << 63)
    assert one.who is one.running


def test_the_running_task_is_in_the_next_slot():
    data = slot(b"child", OTHER | HEADER, task=CHILD, pid=44) + slot(flags=255, number=9) + slot()
    first, second = parse_ring(data, 2)
    assert (first.who, first.running) == (Who(CHILD, 44, 42, "child"), WHO)
    assert (first.flags, first.number) == (Flag.OTHER | Flag.HEADER, 1)
    assert (second.who, second.flags) == (WHO, Flag.HEADER)


def test_half_a_pass_waits_for_its_other_half():
    data = slot() + slot(flags=OTHER)
    assert len(list(parse_ring(data, 2))) == 1
    assert len(list(parse_ring(data + slot(), 2))) == 2
    assert list(parse_ring(b"", 2)) == []


@pytest.mark.parametrize("bit", range(8))
def test_flags(bit):
    known = {0: Flag.LIVE, 1: Flag.KTHREAD, 2: Flag.ACTIVE, 3: Flag.OTHER, 4: Flag.HEADER}
    passes = list(parse_ring(slot(flags=1 << bit) + slot(), 2))
    assert passes[0].flags == known.get(bit, Flag(0))


@pytest.mark.parametrize("number", [2, 3, 255])
def test_a_function_that_is_none(number):
    with pytest.raises(CorruptState) as caught:
        list(parse_ring(slot() + slot(number=number), 2))
    assert str(caught.value) == f"the record of a pass names function {number} of 2"
    assert len(list(parse_ring(slot(number=0) + slot(number=1), 2))) == 2


NAMES = [
    (b"\x1b[31mred\x07\n", r"\x1b[31mred\x07\x0a"),
    (b"\xff\xfe\x80", r"\xff\xfe\x80"),
    (b"fifteen letters!", "fifteen letters!"),  # no room for the NUL
    (b"cut\0rest", "cut"),
    (b"", ""),
    (b" a\\b ", r"\x20a\\b\x20"),
]


@pytest.mark.parametrize(("comm", "shown"), NAMES)
def test_names_are_safe_on_a_terminal(comm, shown):
    """Of both tasks, and in a table, too."""
    (one,) = parse_ring(slot(comm, OTHER) + slot(comm), 2)
    assert one.who.comm == one.running.comm == shown
    (counted,) = parse_table(row(comm=comm), 2)
    assert counted.who.comm == shown


@given(st.binary(min_size=64 * 8, max_size=64 * 8), st.integers(1, MAX_PROBES))
def test_a_ring_full_of_rubbish(data, functions):
    try:
        passes = list(parse_ring(data, functions))
    except CorruptState:
        return
    for one in passes:
        assert one.number < functions
        assert (one.who.comm + one.running.comm).isprintable()
        assert one.caller >> 32 == 0xFFFFFFFF
        assert one.flags in Flag(31)


# --- the table


def test_a_row():
    (one,) = parse_table(row(), 2)
    assert one == Counted(
        WHO, 1, 10, 4, 0x207, 3, 0xFFFFFFFF8101D3CB, Flag.HEADER | Flag.LIVE, 1000, 2000
    )


@pytest.mark.parametrize("pid", [0, 1 << 22, (1 << 32) - 1])
def test_pids_have_32_bits(pid):
    assert [one.who.pid for one in parse_table(row(pid=pid), 2)] == [pid]
    assert [one.who.pid for one in parse_ring(slot(pid=pid), 2)] == [pid]


def test_rows_that_are_not_in_use_yet():
    """A CPU may be stopped when it has taken a row and not filled it."""
    one, two = parse_table(row() + bytes(96), 2)
    assert (one.hits, two.hits, two.who.comm) == (10, 0, "")
    assert list(parse_table(b"", 2)) == []


@pytest.mark.parametrize("number", [2, 255, 256, (1 << 32) - 1])
def test_a_row_of_a_function_that_is_none(number):
    with pytest.raises(CorruptState, match=f"names function {number} of 2"):
        list(parse_table(row() + row(number=number), 2))


def test_more_live_passes_than_passes():
    assert len(list(parse_table(row(4, 4), 2))) == 1
    with pytest.raises(CorruptState) as caught:
        list(parse_table(row(4, 5), 2))
    assert str(caught.value) == "the table has 5 live passes among 4"


@given(st.binary(min_size=96 * 4, max_size=96 * 4))
def test_a_table_full_of_rubbish(data):
    try:
        rows = list(parse_table(data, 1))
    except CorruptState:
        return
    for one in rows:
        assert (one.number, one.live <= one.hits, one.who.comm.isprintable()) == (0, True, True)


# --- the control words


def test_control_words():
    words = (7, 11, 22, 33, 44, 55)
    data = struct.pack("<I4x5Q16x", *words) + b"".join(
        (100 + n).to_bytes(8, "little") for n in range(MAX_PROBES)
    )
    assert len(data) == CONTROL_SIZE
    read = parse_control(data, 3)
    assert (read.head, read.stop_at, read.lost, read.filtered, read.used) == words[1:]
    assert read.passes == (100, 101, 102)
    assert len(parse_control(data, MAX_PROBES).passes) == MAX_PROBES
    assert parse_control(b"\xff" * CONTROL_SIZE, 1).head == (1 << 64) - 1


BEFORE = Words(head=100, stop_at=0, lost=7, filtered=9, used=3, passes=())
DAMAGED = " the kernel's memory was damaged"


@pytest.mark.parametrize("used", [0, 3, 64])
def test_rows_that_there_can_be(used):
    check_words(replace(BEFORE, used=used), BEFORE, 0, Recording(ring=False, room=64))


@pytest.mark.parametrize("used", [65, 1 << 32, (1 << 64) - 1])
def test_more_rows_in_use_than_there_are(used):
    """Each would be read: over KGDB for hours."""
    with pytest.raises(CorruptState) as caught:
        check_words(replace(BEFORE, used=used), BEFORE, 0, Recording(ring=False, room=64))
    assert str(caught.value) == f"the table has {used} rows in use of 64:{DAMAGED}"


@pytest.mark.parametrize(("head", "sound"), [(99, 0), (100, 1), (164, 1), (165, 0), (1 << 63, 0)])
def test_how_far_a_ring_can_have_come(head, sound):
    words = replace(BEFORE, head=head, used=0)
    try:
        check_words(words, BEFORE, 100, Recording(ring=True, room=64))
    except CorruptState as error:
        assert not sound
        assert str(error) == f"the ring's counters make no sense:{DAMAGED}"
    else:
        assert sound


@pytest.mark.parametrize("word", ["lost", "filtered"])
def test_counts_of_what_has_no_record_never_go_back(word):
    same = Recording(ring=False, room=64)
    check_words(replace(BEFORE, **{word: 1 << 63}), BEFORE, 0, same)
    with pytest.raises(CorruptState) as caught:
        check_words(replace(BEFORE, **{word: 0}), BEFORE, 0, same)
    assert str(caught.value) == f"the trace's counters went back:{DAMAGED}"


def test_places_do_not_overlap():
    """The recorder writes to these offsets, and the structs above are read from them."""
    assert (Record.SIZE, Row.SIZE, Control.PASSES) == (64, 96, 64)
    assert sum(Flag) == 31
