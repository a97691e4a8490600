# SPDX-License-Identifier: GPL-2.0-or-later
"""Which physical page holds a user page: the walk through page tables, and what it may keep.

A walk costs a read for each level. What it found stays true as long as a CPU may keep it in its
TLB: the kernel counts in `tlb_gen` of an mm how often CPUs had to forget something. `ctx_id` tells
one mm from all that were or will be at its address. Both exist since 4.14 (commit f39681ed0f48).

Source: Intel SDM volume 3, 4.5 (4-level and 5-level paging).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from gdbfpu.errors import MemoryFault
from gdbfpu.kernel.bounded import remember
from gdbfpu.kernel.fields import read_fields
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts.types import Member
from gdbfpu.target import read_u32, read_u64

__all__ = ("PAGE", "TYPES", "Pages")

TYPES = ("mm_context_t", "mm_struct")
"""Types this module reads."""

PAGE = 1 << 12
"""The size of a page in bytes."""

_TABLE_BITS = 9  # bits of an address that each level translates
_PRESENT, _LARGE = 1, 1 << 7
_FRAME = ((1 << 52) - 1) & ~(PAGE - 1)  # bits 51 to 12 of an entry
_STAMP = ("ctx_id", "tlb_gen")

_Stamp = dict[str, bytes]
_Known = dict[int, int]  # a user page to its address in the direct map


class Pages:
    """The pages of the tasks of `kernel`, as far as they were looked up.

    `needed` tells that the stub refuses user addresses, so that one need not ask it again.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.needed = False
        self._kernel = kernel
        self._known: dict[int, tuple[_Stamp, _Known]] = {}  # by mm

    def mm_of(self, task: int) -> int:
        """Return the address of the mm_struct of the task_struct at `task`, 0 if it has none."""
        mm = self._kernel.layouts.find("task_struct", "mm")
        return read_u64(self._kernel.target, task + mm.offset) if mm else 0

    def find(self, mm: int, address: int, *, checked: bool) -> int:
        """Return the address in the direct map of the page at user `address`; raise MemoryFault.

        `mm` is the address of the task's mm_struct. `checked` says that this was called before at
        this stop, with the same `mm`: then what is known is true.
        """
        if self._base is None or not mm:
            raise MemoryFault(address, 1)
        stamp, known = self._known.get(mm, ({}, {}))
        if not checked:
            now = self._stamp(mm)
            known = known if now and now == stamp else {}
            remember(self._known, mm, (now, known))
        page = address & ~(PAGE - 1)
        if page not in known:
            table = self._top_table(mm)
            if not table:
                raise MemoryFault(address, 1)
            remember(known, page, self._base + self._physical(self._base, table, page))
        return known[page]

    def _stamp(self, mm: int) -> _Stamp:
        """Return ctx_id and tlb_gen of the mm_struct at `mm`, nothing if this kernel lacks them."""
        return read_fields(self._kernel.target, mm, self._stamps) if self._stamps else {}

    @cached_property
    def _stamps(self) -> dict[str, Member]:
        find = self._kernel.layouts.find
        base = find("mm_struct", "context")
        members = {name: find("mm_context_t", name) for name in _STAMP}
        if base is None or None in members.values():
            return {}
        return {n: replace(m, offset=base.offset + m.offset) for n, m in members.items() if m}

    @cached_property
    def _base(self) -> int | None:
        """The address where physical address 0 is mapped, or None if it is not known.

        If KASLR can move the direct map (4.8 on), page_offset_base has this address. Otherwise
        high_memory is the end of the direct map, which has max_pfn pages.
        """
        target = self._kernel.target
        base = target.symbol_address("page_offset_base")
        if base is not None:
            return read_u64(target, base)
        places = [target.symbol_address(name) for name in ("high_memory", "max_pfn")]
        if None in places:
            return None
        end, pages = (read_u64(target, place) for place in places if place is not None)
        return end - pages * PAGE

    def _top_table(self, mm: int) -> int:
        """Return the address of the top page table (mm.pgd), 0 if there is none."""
        pgd = self._kernel.layouts.find("mm_struct", "pgd")
        return read_u64(self._kernel.target, mm + pgd.offset) if pgd else 0

    def _physical(self, base: int, table: int, address: int) -> int:
        """Return the physical address of user `address`; raise MemoryFault if it is not mapped.

        `table` is the address of the top page table.
        """
        target = self._kernel.target
        for level in range(self._levels - 1, -1, -1):
            shift = 12 + _TABLE_BITS * level
            index = address >> shift & (1 << _TABLE_BITS) - 1
            entry = read_u64(target, table + 8 * index) & ~self._encrypted
            if not entry & _PRESENT:
                raise MemoryFault(address, 1)
            if level == 0 or (entry & _LARGE and level < 3):
                inside = (1 << shift) - 1
                return (entry & _FRAME & ~inside) + (address & inside)
            table = base + (entry & _FRAME)
        raise MemoryFault(address, 1)

    @cached_property
    def _encrypted(self) -> int:
        """The bit that marks encrypted pages (AMD's SME and SEV): sme_me_mask, or 0."""
        address = self._kernel.target.symbol_address("sme_me_mask")
        return read_u64(self._kernel.target, address) if address is not None else 0

    @cached_property
    def _levels(self) -> int:
        """5 if the kernel turned on 5-level paging, else 4."""
        address = self._kernel.target.symbol_address("__pgtable_l5_enabled")
        return 5 if address is not None and read_u32(self._kernel.target, address) else 4
