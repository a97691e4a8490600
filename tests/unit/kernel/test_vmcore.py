# SPDX-License-Identifier: GPL-2.0-or-later
"""ELF dumps made by hand: what they have, what they left out, and what they cannot be."""

from __future__ import annotations

import struct

import pytest
from vmcore_files import CORE, LOAD, NOTE, note, vmcore, write

from gdbfpu.errors import LEFT_OUT, CorruptState, MemoryFault, UsageError
from gdbfpu.kernel.vmcore import Vmcore

DIRECT = 0xFFFF888000000000
PAGE = 4096


def fault(read, address, length=8):
    with pytest.raises(MemoryFault) as caught:
        read(address, length)
    assert (caught.value.address, caught.value.length) == (address, length)
    return caught.value.why


def test_memory_by_both_addresses(tmp_path):
    dump = Vmcore(write(tmp_path, vmcore((DIRECT + 0x5000, 0x5000, bytes(range(256)), 256))))
    assert dump.read_physical(0x5010, 4) == b"\x10\x11\x12\x13"
    assert dump.read_virtual(DIRECT + 0x50FE, 2) == b"\xfe\xff"
    assert fault(dump.read_physical, 0x50FE) == ""
    assert fault(dump.read_physical, 0x4FFF, 2) == ""
    assert fault(dump.read_virtual, 0x5000) == ""
    assert dump.read_physical(0x5000, 0) == b""


def test_what_is_not_saved_was_left_out(tmp_path):
    """p_filesz < p_memsz: not zeros, wherever a read touches it."""
    dump = Vmcore(write(tmp_path, vmcore((DIRECT, 0, b"A" * PAGE, 3 * PAGE))))
    assert dump.read_physical(PAGE - 8, 8) == b"A" * 8
    for address, length in ((PAGE, 8), (PAGE - 4, 8), (3 * PAGE - 1, 1), (0, 2 * PAGE)):
        assert fault(dump.read_physical, address, length) == LEFT_OUT
        assert fault(dump.read_virtual, DIRECT + address, length) == LEFT_OUT
        assert dump.virtual.left_out(DIRECT + address, length)
    assert fault(dump.read_physical, 3 * PAGE) == ""
    assert not dump.virtual.left_out(DIRECT, PAGE)
    assert not dump.virtual.left_out(DIRECT + 3 * PAGE, 1)


def test_zeros_that_are_saved_are_zeros(tmp_path):
    dump = Vmcore(write(tmp_path, vmcore((DIRECT, 0, bytes(PAGE), PAGE))))
    assert dump.read_physical(0, PAGE) == bytes(PAGE)


def test_nothing_of_a_program_header_is_saved(tmp_path):
    dump = Vmcore(write(tmp_path, vmcore((DIRECT, 0, b"", PAGE))))
    assert fault(dump.read_physical, 0) == LEFT_OUT


def test_what_one_program_header_left_out_another_one_has(tmp_path):
    """The kernel's text is in two: makedumpfile decides for each by its neighbours."""
    text = 0xFFFFFFFF81000000
    rows = (text, 0x1000, b"T" * PAGE, 2 * PAGE), (DIRECT, 0, b"D" * 5 * PAGE, 5 * PAGE)
    for some in (rows, rows[::-1]):
        dump = Vmcore(write(tmp_path, vmcore(*some)))
        assert dump.read_physical(0x2000, 4) == b"DDDD"
        assert dump.read_physical(0x1000 - 2, 2 * PAGE + 4)[-2:] == b"DD"
        assert fault(dump.read_virtual, text + PAGE) == LEFT_OUT


def test_a_read_goes_on_in_the_next_program_header(tmp_path):
    rows = [(DIRECT + at, at, bytes([65 + i]) * PAGE, PAGE) for i, at in enumerate((0, PAGE))]
    dump = Vmcore(write(tmp_path, vmcore(*rows)))
    assert dump.read_physical(PAGE - 2, 4) == b"AABB"


def test_program_header_without_physical_address(tmp_path):
    dump = Vmcore(write(tmp_path, vmcore((DIRECT, (1 << 64) - 1, b"A" * PAGE, PAGE))))
    assert dump.read_virtual(DIRECT, 1) == b"A"
    assert fault(dump.read_physical, (1 << 64) - 1, 1) == ""


@pytest.mark.parametrize("keep", [PAGE + 4, 3000])
def test_dump_that_was_cut_off(tmp_path, keep):
    whole = vmcore((DIRECT, 0, b"A" * PAGE, PAGE))
    dump = Vmcore(write(tmp_path, whole[: len(whole) - keep + 4 if keep > PAGE else -keep]))
    assert fault(dump.read_physical, PAGE - 8) == "the dump ends before it"


def test_vmcoreinfo_is_found_among_the_notes(tmp_path):
    info = b"OSRELEASE=5.10\nPAGESIZE=4096\n"
    notes = note(b"CORE", b"x" * 336, 1) + note(b"QEMU", b"y" * 7) + note(b"VMCOREINFO", info)
    assert Vmcore(write(tmp_path, vmcore(notes=notes))).vmcoreinfo() == info
    assert Vmcore(write(tmp_path, vmcore(notes=note(b"CORE", b"")))).vmcoreinfo() is None
    assert Vmcore(write(tmp_path, vmcore())).vmcoreinfo() is None
    wild = struct.pack("<III", 0xFFFFFFFF, 0xFFFFFFFF, 0) + b"VMCOREINFO\0"
    assert Vmcore(write(tmp_path, vmcore(notes=wild))).vmcoreinfo() is None


def test_more_program_headers_than_their_number_can_say(tmp_path):
    """PN_XNUM: the first section header has the number. QEMU writes that, with paging."""
    whole = bytearray(vmcore((DIRECT, 0, b"A" * PAGE, PAGE)))
    struct.pack_into("<H", whole, 56, 0xFFFF)
    struct.pack_into("<Q", whole, 40, len(whole))
    whole += bytes(44) + struct.pack("<I", 2) + bytes(16)
    assert Vmcore(write(tmp_path, whole)).read_physical(0, 1) == b"A"


@pytest.mark.parametrize(
    ("place", "form", "value", "said"),
    [
        (4, "<B", 1, "is not an ELF dump of an x86-64 kernel"),
        (5, "<B", 2, "is not an ELF dump of an x86-64 kernel"),
        (16, "<H", 2, "is not an ELF dump of an x86-64 kernel"),
        (18, "<H", 183, "is not an ELF dump of an x86-64 kernel"),
        (54, "<H", 32, "is damaged: 2 program headers of 32 bytes"),
        (56, "<H", 60000, "ends inside its program headers"),
        (32, "<Q", (1 << 64) - 1, "ends inside its program headers"),
    ],
)
def test_files_that_are_none(tmp_path, place, form, value, said):
    whole = bytearray(vmcore((DIRECT, 0, b"A", 1)))
    struct.pack_into(form, whole, place, value)
    path = write(tmp_path, whole)
    with pytest.raises((UsageError, CorruptState)) as caught:
        Vmcore(path)
    assert str(caught.value) == f"{path} {said}"


@pytest.mark.parametrize("seed", range(20))
def test_program_headers_that_lie(tmp_path, seed):
    """Addresses and sizes that wrap, places past the end: a fault, no other error."""
    values = (0, 1, PAGE, 1 << 31, 1 << 63, (1 << 64) - PAGE, (1 << 64) - 1)
    whole = bytearray(vmcore((DIRECT, 0, b"A" * PAGE, PAGE), (DIRECT + PAGE, PAGE, b"", PAGE)))
    for i in range(12):
        at = 64 + 56 * (i // 6 + 1) + 8 * (i % 6 + 1)
        struct.pack_into("<Q", whole, at, values[(seed * 7 + i * i + seed // 7 * i) % len(values)])
    dump = Vmcore(write(tmp_path, whole))
    for address in (*values, DIRECT, DIRECT + PAGE):
        for read in (dump.read_physical, dump.read_virtual):
            try:
                assert len(read(address, 8)) == 8
            except MemoryFault as found:
                assert found.address == address


def test_the_kinds_are_those_of_the_abi():
    assert (CORE, LOAD, NOTE) == (4, 1, 4)
