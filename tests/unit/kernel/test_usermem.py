# SPDX-License-Identifier: GPL-2.0-or-later
"""User memory through page tables built by hand: SDM volume 3, 4.5, tables 4-14 to 4-20."""

from __future__ import annotations

import pytest
from fake_kernel import COMMON, FPU_44, PF_KTHREAD, World, struct, task_struct

from gdbfpu.errors import MemoryFault
from gdbfpu.kernel.pages import Pages
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.kernel.usermem import UserMemory
from gdbfpu.layouts.types import Layouts

BASE = 0xFFFF888000000000  # where physical address 0 is mapped
PAGES = 0x100000  # 4 GiB of memory
MM, PGD = 1064, 80  # task_struct.mm, mm_struct.pgd
MM_AT = 0xFFFF888000F00000
CONTEXT = 752  # mm_struct.context
PRESENT, WRITE, USER, ACCESSED, DIRTY, LARGE, GLOBAL = 1, 2, 4, 1 << 5, 1 << 6, 1 << 7, 1 << 8
NX, SOFT, PKEY = 1 << 63, 0x7FF << 52 & ~(1 << 63), 0xF << 59
FLAGS = PRESENT | WRITE | USER | ACCESSED | DIRTY
ADDRESS = 0x7FFD5C965140
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


class Paged:
    """A task whose page tables are in the fake's physical memory."""

    def __init__(self, levels=4, stub="kgdb"):
        self.world = World(stub)
        self.target = self.world.target
        self.world.add(0, flags=PF_KTHREAD)
        self.task = self.world.add(5)
        self.levels = levels
        self.next = 0x1000000
        self.top = self.table()
        layouts = (
            task_struct(("mm", MM, 8, "mm_struct", True)),
            *COMMON,
            *FPU_44,
            struct("mm_struct", 1000, ("pgd", PGD, 8, "pgd_t", True)),
        )
        self.layouts = Layouts(layouts)
        self.target.put_int(self.task + MM, MM_AT)
        self.target.put(MM_AT, bytes(1000))
        self.target.put_int(MM_AT + PGD, BASE + self.top)
        for name, value in (("high_memory", BASE + PAGES * 4096), ("max_pfn", PAGES)):
            self.target.symbols[name] = 0xFFFFFFFF84000000 + 0x1000 * len(name)
            self.target.put_int(self.target.symbols[name], value)
        if levels == 5:
            self.target.symbols["__pgtable_l5_enabled"] = 0xFFFFFFFF84100000
            self.target.put_int(0xFFFFFFFF84100000, 1, 4)

    def table(self):
        """A new, empty page table; its physical address."""
        self.next += 0x1000
        self.target.put(BASE + self.next, bytes(4096))
        return self.next

    def entry(self, table, level, address):
        """Where the table at a level (1: page table, 4 or 5: top) has the entry for an address."""
        return BASE + table + 8 * (address >> 12 + 9 * (level - 1) & 511)

    def map(self, address, physical, level=1, flags=FLAGS, above=FLAGS):
        """Map the page of `address`, 4 KiB at level 1, 2 MiB at 2, 1 GiB at 3; return the entry."""
        table = self.top
        for upper in range(self.levels, level, -1):
            place = self.entry(table, upper, address)
            value = self.world.read(place, 8)
            if not value:
                value = self.table() | above
                self.target.put_int(place, value)
            table = value & 0x000FFFFFFFFFF000
        place = self.entry(table, level, address)
        self.target.put_int(place, physical | flags | (LARGE if level > 1 else 0))
        return place

    def memory(self):
        return UserMemory(Kernel(self.target, self.layouts), self.task)

    def fill(self, physical, data):
        self.target.put(BASE + physical, data)


def faults(memory, address, length):
    with pytest.raises(MemoryFault) as caught:
        memory.read(address, length)
    return caught.value.address, caught.value.length


@pytest.mark.parametrize("levels", [4, 5])
def test_page_of_4_kib(levels):
    paged = Paged(levels)
    paged.map(ADDRESS, 0x345000)
    paged.fill(0x345000, bytes(0x140) + b"user memory" + bytes(0x1000 - 0x14B))
    assert paged.memory().read(ADDRESS, 11) == b"user memory"


@pytest.mark.parametrize("levels", [4, 5])
def test_page_of_2_mib(levels):
    """Bits 20 to 0 of the address count, whatever the entry has there (PAT is bit 12)."""
    paged = Paged(levels)
    paged.map(ADDRESS, 64 * MIB, 2, FLAGS | 1 << 12)
    place = 64 * MIB + ADDRESS % (2 * MIB)
    paged.fill(place, b"large page")
    assert paged.memory().read(ADDRESS, 10) == b"large page"


@pytest.mark.parametrize("levels", [4, 5])
def test_page_of_1_gib(levels):
    paged = Paged(levels)
    paged.map(ADDRESS, 2 * GIB, 3, FLAGS | 1 << 12)
    paged.fill(2 * GIB + ADDRESS % GIB, b"huge page")
    assert paged.memory().read(ADDRESS, 9) == b"huge page"


def test_addresses_of_five_levels():
    """Bit 48 and above lead through the fifth level."""
    paged = Paged(5)
    for number, address in enumerate((0x00FF123456789000, 0x0001000000000000, 0x1000)):
        paged.map(address, 0x400000 + 0x1000 * number)
        paged.fill(0x400000 + 0x1000 * number, bytes([number]) * 4096)
    memory = paged.memory()
    assert memory.read(0x00FF123456789000, 2) == b"\0\0"
    assert memory.read(0x0001000000000FFE, 2) == b"\1\1"
    assert memory.read(0x1000, 2) == b"\2\2"


@pytest.mark.parametrize("value", [None, 0])
def test_four_levels_where_the_fifth_is_not_enabled(value):
    paged = Paged(4)
    if value is not None:
        paged.target.symbols["__pgtable_l5_enabled"] = 0xFFFFFFFF84100000
        paged.target.put_int(0xFFFFFFFF84100000, value, 4)
    paged.map(ADDRESS, 0x345000)
    paged.fill(0x345000, b"\7" * 4096)
    assert paged.memory().read(ADDRESS, 1) == b"\7"


def test_bits_above_the_address_are_no_address():
    """NX (63), protection keys (62 to 59), the kernel's own (58 to 52), in every level."""
    high = NX | SOFT | PKEY
    for level, physical in ((1, 0x345000), (2, 64 * MIB), (3, GIB)):
        paged = Paged()
        paged.map(ADDRESS, physical, level, FLAGS | GLOBAL | high, FLAGS | high)
        size = {1: 4 * KIB, 2: 2 * MIB, 3: GIB}[level]
        paged.fill(physical + ADDRESS % size, b"found")
        assert paged.memory().read(ADDRESS, 5) == b"found"


def test_the_top_level_has_no_large_pages():
    """Bit 7 is reserved there, and ignored: the walk goes on."""
    paged = Paged()
    paged.map(ADDRESS, 0x345000, above=FLAGS)
    place = paged.entry(paged.top, 4, ADDRESS)
    paged.target.put_int(place, paged.world.read(place, 8) | LARGE)
    paged.fill(0x345000, b"\7" * 4096)
    assert paged.memory().read(ADDRESS, 1) == b"\7"


def test_bit_7_of_a_page_table_entry_is_no_size():
    """It is PAT there."""
    paged = Paged()
    paged.map(ADDRESS, 0x345000, 1, FLAGS | LARGE)
    paged.fill(0x345000, b"\7" * 4096)
    assert paged.memory().read(ADDRESS, 1) == b"\7"


@pytest.mark.parametrize("level", [4, 3, 2, 1])
def test_entry_that_is_not_present(level):
    """What a swapped out page has in its entry is no address."""
    paged = Paged()
    paged.map(ADDRESS, 0x345000)
    paged.fill(0x345000, bytes(4096))
    table = paged.top
    for upper in range(4, level, -1):
        table = paged.world.read(paged.entry(table, upper, ADDRESS), 8) & 0x000FFFFFFFFFF000
    place = paged.entry(table, level, ADDRESS)
    paged.target.put_int(place, paged.world.read(place, 8) & ~PRESENT)
    assert faults(paged.memory(), ADDRESS, 4) == (ADDRESS & ~0xFFF, 1)


def test_read_over_pages_that_lie_apart():
    paged = Paged()
    start = 0x7FFD5C965000
    for number, physical in enumerate((0x900000, 0x300000, 0x700000)):
        paged.map(start + 4096 * number, physical)
        paged.fill(physical, bytes([0x11 * (number + 1)]) * 4096)
    data = paged.memory().read(start + 0xFF0, 4096 + 32)
    assert data == b"\x11" * 16 + b"\x22" * 4096 + b"\x33" * 16


def test_read_up_to_the_end_of_a_page_needs_no_next_one():
    paged = Paged()
    paged.map(ADDRESS, 0x345000)
    paged.fill(0x345000, b"\7" * 4096)
    page = ADDRESS & ~0xFFF
    assert paged.memory().read(page, 4096) == b"\7" * 4096
    assert faults(paged.memory(), page + 1, 4096) == (page + 4096, 1)


def test_a_page_is_looked_up_once():
    paged = Paged()
    paged.map(ADDRESS, 0x345000)
    paged.fill(0x345000, b"\7" * 4096)
    memory = paged.memory()
    memory.read(ADDRESS, 8)
    paged.target.reads.clear()
    memory.read(ADDRESS + 8, 8)
    assert paged.target.reads == [(BASE + 0x345000 + 0x148, 8)]


def test_a_walk_asks_once_which_bit_marks_encrypted_pages():
    """Under AMD's SME every entry has that bit, which is no part of an address."""
    paged, bit, mask = Paged(), 1 << 47, 0xFFFFFFFF84200000
    paged.target.symbols["sme_me_mask"] = mask
    paged.target.put_int(mask, bit)
    paged.map(ADDRESS, 0x345000 | bit)
    for table in range(0x1001000, paged.next + 0x1000, 0x1000):
        for place in range(BASE + table, BASE + table + 0x1000, 8):
            entry = paged.world.read(place, 8)
            paged.target.put_int(place, entry | bit if entry else 0)
    paged.fill(0x345000, b"\7" * 4096)
    memory = paged.memory()
    paged.target.reads.clear()
    assert memory.read(ADDRESS, 4) == b"\7" * 4
    assert paged.target.reads.count((mask, 8)) == 1


def test_the_stub_is_asked_first():
    paged = Paged()
    paged.target.put(ADDRESS, b"stub")
    assert paged.memory().read(ADDRESS, 4) == b"stub"
    assert paged.target.reads[-1] == (ADDRESS, 4)


def test_a_stub_that_refused_is_not_asked_again():
    paged = Paged()
    paged.map(ADDRESS, 0x345000)
    paged.fill(0x345000, bytes(4096))
    memory = paged.memory()
    for _ in range(3):
        memory.read(ADDRESS, 4)
    assert sum(at == ADDRESS for at, _ in paged.target.reads) == 1


# --- hostile tables


def test_tables_that_lead_to_themselves_end():
    """There are as many steps as levels."""
    paged = Paged()
    for index in range(512):
        paged.target.put_int(BASE + paged.top + 8 * index, paged.top | FLAGS)
    paged.target.reads.clear()
    data = paged.memory().read(ADDRESS, 8)
    place = BASE + paged.top + ADDRESS % 4096
    assert data == paged.target.read_memory(place, 8)  # the table itself, as a CPU would see it
    assert len(paged.target.reads) < 20


@pytest.mark.parametrize("level", [4, 3, 2, 1])
def test_entries_that_lead_out_of_memory(level):
    paged = Paged()
    paged.map(ADDRESS, 0x345000)
    table = paged.top
    for upper in range(4, level, -1):
        table = paged.world.read(paged.entry(table, upper, ADDRESS), 8) & 0x000FFFFFFFFFF000
    paged.target.put_int(paged.entry(table, level, ADDRESS), 0x000FFFFFFFFFF000 | FLAGS)
    paged.target.reads.clear()
    with pytest.raises(MemoryFault):
        paged.memory().read(ADDRESS, 16)
    assert len(paged.target.reads) < 20


def test_a_task_without_memory():
    paged = Paged()
    paged.target.put_int(paged.task + MM, 0)
    assert faults(paged.memory(), ADDRESS, 4) == (ADDRESS, 1)
    paged.target.put_int(paged.task + MM, MM_AT)
    paged.target.put_int(MM_AT + PGD, 0)
    assert faults(paged.memory(), ADDRESS, 4) == (ADDRESS, 1)
    paged.target.put_int(MM_AT + PGD, 0xDEAD000000000000)
    with pytest.raises(MemoryFault):
        paged.memory().read(ADDRESS, 4)


@pytest.mark.parametrize("gone", ["high_memory", "max_pfn"])
def test_a_kernel_that_does_not_say_where_its_direct_map_is(gone):
    paged = Paged()
    paged.map(ADDRESS, 0x345000)
    paged.fill(0x345000, bytes(4096))
    del paged.target.symbols[gone]
    assert faults(paged.memory(), ADDRESS, 4) == (ADDRESS, 1)


def test_a_kernel_whose_types_do_not_lead_to_page_tables():
    paged = Paged()
    paged.map(ADDRESS, 0x345000)
    whole = paged.layouts
    for missing in ("mm_struct", "task_struct"):
        structs = [whole.struct(name) for name in whole.names() if name != missing]
        if missing == "task_struct":
            structs.append(task_struct())
        paged.layouts = Layouts(structs)
        assert faults(paged.memory(), ADDRESS, 4) == (ADDRESS, 1)


@pytest.mark.parametrize(
    ("address", "length"),
    [
        (-1, 4),
        (1 << 63, 1),
        ((1 << 63) - 2, 4),
        (0xFFFFFFFF81000000, 4),
        (ADDRESS, -1),
        (1 << 64, 1),
    ],
)
def test_only_user_addresses_are_read(address, length):
    paged = Paged()
    paged.target.put(0xFFFFFFFF81000000, b"text")
    paged.target.reads.clear()
    assert faults(paged.memory(), address, length) == (address, length)
    assert [read for read in paged.target.reads if read == (address, length)] == []


def test_the_first_and_the_last_user_address():
    paged = Paged()
    paged.target.put(0, b"zero")
    paged.target.put((1 << 63) - 4, b"last")
    assert paged.memory().read(0, 4) == b"zero"
    assert paged.memory().read((1 << 63) - 4, 4) == b"last"


def test_nothing_is_read_of_no_bytes():
    paged = Paged()
    assert paged.memory().read(ADDRESS, 0) == b""


def test_a_stub_that_refuses_user_memory_is_asked_once():
    paged = Stamped()
    memory = paged.memory()
    assert paged.reads_of(lambda: memory.read(ADDRESS, 4))[0] == (ADDRESS, 4)
    assert (ADDRESS, 4) not in paged.reads_of(lambda: memory.read(ADDRESS, 4))


class Stamped(Paged):
    """A task whose mm counts in `tlb_gen` what CPUs had to forget; one Pages for all its stops."""

    def __init__(self, context=()):
        super().__init__()
        members = context or (("ctx_id", 0, 8), ("tlb_gen", 8, 8))
        mm = ("pgd", PGD, 8, "pgd_t", True), ("context", CONTEXT, 80)
        kept = [self.layouts.struct(n) for n in self.layouts.names() if n != "mm_struct"]
        more = struct("mm_struct", 1000, *mm), struct("mm_context_t", 80, *members)
        self.layouts = Layouts([*kept, *more])
        self.stamp(7, 1)
        self.place = self.map(ADDRESS, 0x345000)
        self.fill(0x345000, b"1" * 4096)
        self.fill(0x888000, b"2" * 4096)
        self.pages = Pages(Kernel(self.target, self.layouts))

    def stamp(self, ctx_id, tlb_gen):
        self.target.put_int(MM_AT + CONTEXT, ctx_id)
        self.target.put_int(MM_AT + CONTEXT + 8, tlb_gen)

    def memory(self):
        return UserMemory(Kernel(self.target, self.layouts), self.task, self.pages)

    def reads_of(self, action):
        self.target.reads.clear()
        action()
        return list(self.target.reads)


def test_a_page_is_looked_up_once_while_no_cpu_has_to_forget_it():
    paged = Stamped()
    assert paged.memory().read(ADDRESS, 1) == b"1"
    memory = paged.memory()
    reads = paged.reads_of(lambda: memory.read(ADDRESS, 1))
    assert reads == [(paged.task + MM, 8), (MM_AT + CONTEXT, 16), (BASE + 0x345140, 1)]
    memory.stopped_again()
    reads = paged.reads_of(lambda: memory.read(ADDRESS, 1))
    assert reads == [(MM_AT + CONTEXT, 16), (BASE + 0x345140, 1)]


@pytest.mark.parametrize("stamp", [(7, 2), (8, 1)])
def test_a_page_is_looked_up_again_when_cpus_forgot_it_or_the_mm_is_another(stamp):
    paged = Stamped()
    memory = paged.memory()
    assert memory.read(ADDRESS, 1) == b"1"
    paged.target.put_int(paged.place, 0x888000 | FLAGS)
    paged.stamp(*stamp)
    assert paged.memory().read(ADDRESS, 1) == b"2"
    memory.stopped_again()
    assert memory.read(ADDRESS, 1) == b"2"


@pytest.mark.parametrize("context", [(("ldt", 0, 8),), (("ctx_id", 0, 8),)])
def test_a_kernel_that_does_not_count_has_each_page_looked_up_at_each_stop(context):
    """Up to 4.13."""
    paged = Stamped(context)
    memory = paged.memory()
    assert memory.read(ADDRESS, 1) == b"1"
    paged.target.put_int(paged.place, 0x888000 | FLAGS)
    assert memory.read(ADDRESS, 1) == b"1"  # the same stop
    memory.stopped_again()
    assert memory.read(ADDRESS, 1) == b"2"
    assert paged.memory().read(ADDRESS, 1) == b"2"
