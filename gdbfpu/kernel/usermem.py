# SPDX-License-Identifier: GPL-2.0-or-later
"""Read a task's user memory, even if the stub refuses to: through the kernel's direct map.

KGDB reads with copy_from_kernel_nofault(). Since 5.8 (commit 98a23609b103) this function accepts
kernel addresses only. But the kernel maps all physical memory in its half of the address space, and
the task's page tables say which physical page holds a user page. Source: Intel SDM volume 3, 4.5
(4-level and 5-level paging).
"""

from __future__ import annotations

from gdbfpu.errors import MemoryFault, MissingMember, MissingType
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.target import read_u32, read_u64

__all__ = ("TYPES", "UserMemory")

TYPES = ("mm_struct",)
"""Types this module reads."""

_PAGE = 1 << 12
_TABLE_BITS = 9  # bits of an address that each level translates
_PRESENT, _LARGE = 1, 1 << 7
_FRAME = ((1 << 52) - 1) & ~(_PAGE - 1)  # bits 51 to 12 of an entry


class UserMemory:
    """The user memory of the task that the stopped CPU runs; its task_struct is at `task`."""

    def __init__(self, kernel: Kernel, task: int) -> None:
        self._kernel = kernel
        self._task = task
        self._refused = False  # the stub refused a read
        self._pages: dict[int, int] = {}  # a user page to its address in the direct map

    def read(self, address: int, length: int) -> bytes:
        """Return `length` bytes at user `address`; raise MemoryFault.

        This asks the stub first, which may read the running task's memory itself.
        """
        if not 0 <= address <= address + length <= 1 << 63:
            raise MemoryFault(address, length)
        if not self._refused:
            try:
                return self._kernel.target.read_memory(address, length)
            except MemoryFault:
                self._refused = True
        data = b""
        while len(data) < length:
            at = address + len(data)
            step = min(length - len(data), _PAGE - at % _PAGE)
            data += self._kernel.target.read_memory(self._page(at) + at % _PAGE, step)
        return data

    def _page(self, address: int) -> int:
        """Return the address in the direct map of the page at user `address`; raise MemoryFault."""
        page = address & ~(_PAGE - 1)
        if page not in self._pages:
            base, top = _direct_map(self._kernel), _top_table(self._kernel, self._task)
            if base is None or not top:
                raise MemoryFault(address, 1)
            self._pages[page] = base + _physical(self._kernel, base, top, page)
        return self._pages[page]


def _top_table(kernel: Kernel, task: int) -> int:
    """Return the address of the task's top page table (mm.pgd), or 0 if it has none."""
    try:
        mm = read_u64(kernel.target, task + kernel.layouts.offset("task_struct", "mm"))
        return read_u64(kernel.target, mm + kernel.layouts.offset("mm_struct", "pgd")) if mm else 0
    except (MissingMember, MissingType):
        return 0


def _direct_map(kernel: Kernel) -> int | None:
    """Return the address where physical address 0 is mapped, or None if it is not known.

    If KASLR can move the direct map (4.8 on), page_offset_base has this address. Otherwise
    high_memory is the end of the direct map, which has max_pfn pages.
    """
    base = kernel.target.symbol_address("page_offset_base")
    if base is not None:
        return read_u64(kernel.target, base)
    places = [kernel.target.symbol_address(name) for name in ("high_memory", "max_pfn")]
    if None in places:
        return None
    end, pages = (read_u64(kernel.target, place) for place in places if place is not None)
    return end - pages * _PAGE


def _physical(kernel: Kernel, base: int, table: int, address: int) -> int:
    """Return the physical address of user `address`; raise MemoryFault if it is not mapped."""
    encrypted = _encrypted(kernel)
    for level in range(_levels(kernel) - 1, -1, -1):
        shift = 12 + _TABLE_BITS * level
        index = address >> shift & (1 << _TABLE_BITS) - 1
        entry = read_u64(kernel.target, table + 8 * index) & ~encrypted
        if not entry & _PRESENT:
            raise MemoryFault(address, 1)
        if level == 0 or (entry & _LARGE and level < 3):
            inside = (1 << shift) - 1
            return (entry & _FRAME & ~inside) + (address & inside)
        table = base + (entry & _FRAME)
    raise MemoryFault(address, 1)


def _encrypted(kernel: Kernel) -> int:
    """Return the bit that marks encrypted pages (AMD's SME and SEV): sme_me_mask, or 0."""
    address = kernel.target.symbol_address("sme_me_mask")
    return read_u64(kernel.target, address) if address is not None else 0


def _levels(kernel: Kernel) -> int:
    """Return 5 if the kernel turned on 5-level paging, else 4."""
    address = kernel.target.symbol_address("__pgtable_l5_enabled")
    return 5 if address is not None and read_u32(kernel.target, address) else 4
