# SPDX-License-Identifier: GPL-2.0-or-later
"""Read a task's user memory, even if the stub refuses to: through the kernel's direct map.

KGDB reads with copy_from_kernel_nofault(). Since 5.8 (commit 98a23609b103) this function accepts
kernel addresses only. But the kernel maps all physical memory in its half of the address space, and
the task's page tables say which physical page holds a user page (gdbfpu.kernel.pages).
"""

from __future__ import annotations

from gdbfpu.errors import MemoryFault
from gdbfpu.kernel.pages import PAGE, Pages
from gdbfpu.kernel.tasks import Kernel

__all__ = ("UserMemory",)


class UserMemory:
    """The user memory of the task that the stopped CPU runs; its task_struct is at `task`.

    `pages` keeps what is known of the kernel's page tables from one stop to the next.
    """

    def __init__(self, kernel: Kernel, task: int, pages: Pages | None = None) -> None:
        self._target = kernel.target
        self._task = task
        self._pages = pages or Pages(kernel)
        self._mm: int | None = None  # not read yet
        self._checked = False  # the pages of mm that are known were valid at this stop

    def stopped_again(self) -> None:
        """Note that the kernel has run. The task must still be in the same system call."""
        self._checked = False

    def read(self, address: int, length: int) -> bytes:
        """Return `length` bytes at user `address`; raise MemoryFault.

        This asks the stub first, which may read the running task's memory itself.
        """
        if not 0 <= address <= address + length <= 1 << 63:
            raise MemoryFault(address, length)
        if not self._pages.needed:
            try:
                return self._target.read_memory(address, length)
            except MemoryFault:
                return self._walked(address, length)
        return self._walked(address, length)

    def _walked(self, address: int, length: int) -> bytes:
        data = b""
        while len(data) < length:
            at = address + len(data)
            step = min(length - len(data), PAGE - at % PAGE)
            data += self._target.read_memory(self._page(at) + at % PAGE, step)
        self._pages.needed = True  # the stub has refused what the task itself may read
        return data

    def _page(self, address: int) -> int:
        """Return the address in the direct map of the page at user `address`; raise MemoryFault."""
        if self._mm is None:
            self._mm = self._pages.mm_of(self._task)
        page = self._pages.find(self._mm, address, checked=self._checked)
        self._checked = True
        return page
