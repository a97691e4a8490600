# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading memory: few packets, none too long, the right bytes."""

from __future__ import annotations

import pytest
from fake import FakeMemory, FakeTarget
from hypothesis import given, settings
from hypothesis import strategies as st

from gdbfpu.errors import MemoryFault
from gdbfpu.kernel.fields import read_fields, with_free
from gdbfpu.kernel.kgdb import MAX_READ
from gdbfpu.kernel.stubs import KGDB
from gdbfpu.layouts.types import Member
from gdbfpu.target import Machine, Memory, read_u32, read_u64

BASE = 0xFFFF888000001000


@pytest.fixture
def target():
    target = FakeTarget()
    target.put(BASE, bytes((7 * i + i // 256) % 256 for i in range(4096)))
    return target


def members(*places):
    return {f"m{offset}": Member(f"m{offset}", offset, size) for offset, size in places}


def test_the_stubs_limit():
    # kernel/debug/gdbstub.c: BUFMAX is 1,024, two hex digits a byte and a NUL
    assert 2 * MAX_READ + 1 <= 1024


@pytest.mark.parametrize(("fake", "protocol"), [(FakeMemory, Memory), (FakeTarget, Machine)])
def test_fakes_have_all_that_the_protocols_have(fake, protocol):
    """And the memory of a dump nothing of a machine's CPUs."""
    asked = {name for base in protocol.__mro__ for name in vars(base) if not name.startswith("_")}
    assert {"read_memory", "symbol_address"} <= asked <= set(dir(fake()))
    cpus = {name for name in vars(Machine) if not name.startswith("_")}
    assert cpus & set(dir(FakeMemory())) == set()


def test_numbers_are_little_endian(target):
    target.put(BASE, bytes.fromhex("8877665544332211"))
    assert read_u32(target, BASE) == 0x55667788
    assert read_u64(target, BASE) == 0x1122334455667788
    assert target.reads == [(BASE, 4), (BASE, 8)]


@pytest.mark.parametrize(
    ("places", "reads"),
    [
        ([(0, 4)], [(0, 4)]),
        ([(0, 4), (4, 4)], [(0, 8)]),
        ([(4, 4), (0, 4)], [(0, 8)]),
        ([(0, 8), (8 + 24, 8)], [(0, 40)]),
        ([(0, 8), (8 + 25, 8)], [(0, 8), (33, 8)]),
        ([(0, 100), (8, 4)], [(0, 100)]),  # one inside the other
        ([(0, 100), (8, 4), (110, 4)], [(0, 114)]),
        ([(100, 500), (600, 10)], [(100, 510)]),
        ([(100, 500), (600, 11)], [(100, 500), (600, 11)]),
        ([(0, 200), (200, 200), (400, 200)], [(0, 400), (400, 200)]),
        ([(5, 5), (2000, 5), (1000, 5)], [(5, 5), (1000, 5), (2000, 5)]),
        ([], []),
    ],
)
def test_members_near_each_other_share_a_read(target, places, reads):
    fields = read_fields(target, BASE, members(*places))
    assert target.reads == [(BASE + offset, length) for offset, length in reads]
    memory = target.ranges[BASE]
    assert fields == {f"m{at}": memory[at : at + size] for at, size in places}


def test_a_fast_wire_has_longer_reads():
    target = FakeTarget("qemu")
    target.put(BASE, bytes(4096))
    read_fields(target, BASE, members((0, 8), (1000, 8), (1992, 8), (2000, 8)))
    assert target.reads == [(BASE, 2000), (BASE + 2000, 8)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3000), st.integers(0, MAX_READ)),
        max_size=8,
        unique_by=lambda place: place[0],
    )
)
def test_fields_are_their_bytes_and_no_read_is_too_long(places):
    target = FakeTarget()
    memory = bytes(i % 251 for i in range(4096))
    target.put(BASE, memory)
    fields = read_fields(target, BASE, members(*places))
    assert fields == {f"m{at}": memory[at : at + size] for at, size in places}
    assert all(length <= MAX_READ for _, length in target.reads)
    assert len(target.reads) <= len(places)


def test_fault_tells_where(target):
    with pytest.raises(MemoryFault, match=r"cannot read 8 bytes at 0x10") as caught:
        read_u64(target, 0x10)
    assert (caught.value.address, caught.value.length) == (0x10, 8)
    with pytest.raises(MemoryFault):
        read_fields(target, BASE, members((0, 4), (4094, 4)))


@pytest.mark.parametrize(
    ("place", "free"),
    [((0, 4), True), ((20, 8), True), ((64, 8), True), ((65, 8), False), ((500, 4), True)],
)
def test_members_that_take_no_further_read(place, free):
    """Members at 0 to 8 and 32 to 40 share a read of KGDB's, and so do all up to 24 bytes on."""
    asked, other = members((0, 8), (32, 8), (504, 4)), members(place)
    assert with_free(KGDB, asked, other) == {**asked, **(other if free else {})}


def test_members_that_would_take_a_read_are_no_bridge(target):
    """A member that is not read cannot make another one free."""
    asked = members((0, 8))
    assert with_free(KGDB, asked, members((60, 8), (30, 8))) == {**asked, **members((30, 8))}
