# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory for a fast trace: near the kernel's text, writable, and executable where its code is.

The kernel's own functions allocate and free it. Which of them a kernel has tells its variant.
"""

from __future__ import annotations

import gdb

from gdbfpu.dbg.borrowed import Borrowed
from gdbfpu.dbg.language import evaluate
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.errors import GdbFpuError, MissingSymbol
from gdbfpu.fast.layout import PAGE

__all__ = ("KernelMemory",)

_LARGE = 2 << 20  # the kernel's image is mapped in pages of this size
_BELOW = 256 << 20  # how far behind the image to look for room
_REACH = (1 << 31) - _LARGE  # of a jump, with room for the functions themselves
_ANY_NODE = (1 << 64) - 1  # NUMA_NO_NODE
_WRITABLE_CODE = 0x163  # present, writable, accessed, dirty, global: SDM volume 3, 4.5
# With CONFIG_MODULES, execmem_alloc() since 6.10 and module_alloc() before.
_ALLOCATE = ("execmem_alloc", "module_alloc", "__vmalloc_node_range")
_FREE = {"execmem_alloc": "execmem_free", "module_alloc": "module_memfree"}
_SEAL = ("set_memory_rox", "set_memory_x")  # since 6.2 such pages have to be read-only, too
# What waits until no CPU can still be in code that is no longer reached, the surest first.
_GRACE = ("synchronize_rcu_tasks", "synchronize_sched", "synchronize_rcu")


class KernelMemory:
    """The functions of this kernel that a borrowed task calls for a fast trace.

    Raises MissingSymbol, before anything is written, if one of them is missing.
    """

    def __init__(self, target: GdbTarget) -> None:
        self._target = target
        how, self._allocate = self._first(_ALLOCATE)
        _, self._free = self._first((_FREE.get(how, "vfree"),))
        seal, self._seal = self._first(_SEAL)
        _, self._grace = self._first(_GRACE)
        _, self._sleep = self._first(("msleep",))
        _, self._text = self._first(("_text",))
        undo = ("set_memory_nx", "set_memory_rw") if seal == _SEAL[0] else ()
        self._unseal = [self._first((name,))[1] for name in undo]
        self._arguments: tuple[int, ...] = ()
        if how == _ALLOCATE[0]:
            self._before: tuple[int, ...] = (_module_data(),)
        else:
            self._before = ()
        if how == _ALLOCATE[-1]:
            _, end = self._first(("_end",))
            low = -(-end // _LARGE) * _LARGE
            room = (1, low, low + _BELOW)
            self._arguments = (*room, 0, _WRITABLE_CODE, 0, _ANY_NODE, self._allocate)

    def allocate(self, task: Borrowed, size: int) -> int:
        """Return the address of `size` new bytes that jumps from the kernel's text reach."""
        base = task.call(self._allocate, *self._before, size, *self._arguments)
        if not base:
            raise GdbFpuError(
                f"the kernel has no {size >> 10} KiB to spare for the records (--rows)"
            )
        if base % PAGE or abs(base - self._text) + size > _REACH:
            task.call(self._free, base)
            raise GdbFpuError(f"the kernel's memory at {base:#x} is out of reach of its text")
        return base

    def seal(self, task: Borrowed, base: int, pages: int) -> None:
        """Make `pages` pages of code at `base` executable."""
        if failed := task.call(self._seal, base, pages) & 0xFFFFFFFF:
            raise GdbFpuError(f"the kernel does not make memory executable: error {failed:#x}")

    def pause(self, task: Borrowed, ms: int) -> None:
        """Let the other tasks run for `ms` milliseconds at least."""
        task.call(self._sleep, ms)

    def wait_for_all(self, task: Borrowed) -> None:
        """Return when no CPU can be in a trampoline any more that no function jumps to."""
        task.call(self._grace)

    def release(self, task: Borrowed, base: int, pages: int) -> None:
        """Free the memory at `base`, of which `pages` pages were sealed."""
        for function in self._unseal:  # or others would get these pages read-only
            task.call(function, base, pages)
        task.call(self._free, base)

    def _first(self, names: tuple[str, ...]) -> tuple[str, int]:
        """Return the first of the functions `names` that the kernel has, and its address."""
        for name in names:
            address = self._target.symbol_address(name)
            if address is not None:
                return name, address
        raise MissingSymbol(names[-1])


def _module_data() -> int:
    """Return EXECMEM_MODULE_DATA: memory in reach of the text that is writable at first."""
    try:
        return int(evaluate("EXECMEM_MODULE_DATA"))
    except gdb.error as error:
        raise GdbFpuError("GDB does not know the kernel's enum execmem_type") from error
