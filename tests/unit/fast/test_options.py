# SPDX-License-Identifier: GPL-2.0-or-later
"""The filters of a fast trace let through what those of a stopping trace do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdbfpu.errors import UsageError
from gdbfpu.fast.layout import Area, Record, Row
from gdbfpu.fast.options import MAX_ROOM, Recording, filters_of
from gdbfpu.text.names import named

COMM = 16  # TASK_COMM_LEN


def lets_through(filters, comm):
    """What a trampoline does with the 16 bytes of a task's name."""
    value = int.from_bytes(comm[: COMM - 1].ljust(COMM, b"\0"), "little")
    return any(value & name.mask == name.value for name in filters.names)


@pytest.mark.parametrize(
    ("wanted", "through", "not_through"),
    [
        ("Xorg", ["Xorg"], ["Xor", "Xorg1", "xorg", ""]),
        ("Xorg*", ["Xorg", "Xorg1", "Xorg:rcs0 is lo"], ["Xor", "xorg", ""]),
        ("*", ["", "a", "fifteen letters"], []),
        ("", [""], ["a"]),
        ("fifteen letters", ["fifteen letters"], ["fifteen letter"]),
        ("fifteen letters*", ["fifteen letters"], ["fifteen letter"]),
        ("kworker/0:1", ["kworker/0:1"], ["kworker/0:10"]),
    ],
)
def test_a_name_or_its_beginning(wanted, through, not_through):
    filters = filters_of((), [wanted])
    for names, answer in ((through, True), (not_through, False)):
        assert {name: lets_through(filters, name.encode()) for name in names} == dict.fromkeys(
            names, answer
        )


NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=COMM - 1)


@given(NAMES, NAMES, st.sampled_from(["", "*"]))
def test_as_a_stopping_trace_does(name, start, star):
    try:
        filters = filters_of((), [start + star])
    except UsageError:
        return
    for comm in (name, start, start[:-1], (start + name)[: COMM - 1]):
        assert lets_through(filters, comm.encode()) is named(comm, start + star)


@pytest.mark.parametrize("wanted", ["a?", "[ab]", "a*b", "**", "größe", r"\x1b", "*a"])
def test_other_globs_are_refused(wanted):
    with pytest.raises(UsageError) as caught:
        filters_of((), ["fine", wanted])
    assert str(caught.value) == (
        f"--comm {wanted}: with --fast, a name is plain ASCII, or its beginning and a *"
    )


@pytest.mark.parametrize("wanted", ["sixteen letters!", "sixteen letters!*", "x" * 1000])
def test_a_name_that_no_task_can_have(wanted):
    """Cut to fifteen letters, it would let through tasks that a stopping trace leaves out."""
    with pytest.raises(UsageError) as caught:
        filters_of((), [wanted])
    assert str(caught.value) == f"--comm {wanted}: a task's name has at most 15 characters"


@pytest.mark.parametrize("pid", [1 << 32, 1 << 80])
def test_a_pid_that_no_task_can_have(pid):
    with pytest.raises(UsageError, match=f"^--pid {pid}: no task can have this pid$"):
        filters_of([1, pid], ())


def test_pids_stay_as_they_are():
    filters = filters_of([0, 7, (1 << 32) - 1], ["a", "b*"])
    assert filters.pids == (0, 7, (1 << 32) - 1)
    assert len(filters.names) == 2
    assert filters_of((), ()).pids == filters_of((), ()).names == ()


@pytest.mark.parametrize("ring", [False, True])
def test_room_is_of_slots_or_of_rows(ring):
    recording = Recording(ring, 64)
    assert (recording.slots, recording.rows) == ((64, 0) if ring else (0, 64))
    assert recording.lossy is False


@pytest.mark.parametrize(
    ("slots", "rows", "data"), [(16, 0, 16 * 64), (65536, 0, 65536 * 64), (0, 16, 16 * 104)]
)
def test_an_area_has_room_for_all(slots, rows, data):
    area = Area(0xFFFFFFFFC0000000, 2, slots, rows)
    assert (area.control, area.data) == (area.base + 8192, area.base + 3 * 4096)
    assert area.size % 4096 == 0
    assert 0 <= area.base + area.size - area.data - data < 4096
    assert area.index + 8 * rows <= area.base + area.size
    assert area.index == area.data + rows * Row.SIZE
    assert (Record.SIZE, MAX_ROOM & (MAX_ROOM - 1)) == (64, 0)
