# SPDX-License-Identifier: GPL-2.0-or-later
"""Target: the one way in which gdbfpu sees a kernel, live or dead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Protocol

__all__ = ("MAX_READ", "Target", "Thread", "read_cstring", "read_u32", "read_u64")

MAX_READ = 510
"""The most bytes one read may ask of a KGDB stub.

The stub's reply buffer is 1,024 bytes and it does not check the length: more than 511 bytes
overwrite kernel memory (kernel/debug/gdbstub.c, gdb_cmd_memread).
"""


@dataclass(frozen=True)
class Thread:
    """A thread as the debugger numbers it: `num` as in `info threads`, `lwp` the stub's id."""

    num: int
    lwp: int


class Target(Protocol):
    """What gdbfpu asks of a kernel. Addresses are virtual, lengths bytes."""

    @property
    def stub(self) -> str:
        """Return `kgdb`, `qemu` or `core`."""

    def read_memory(self, address: int, length: int) -> bytes:
        """Return exactly `length` bytes at `address`; raise MemoryFault otherwise."""

    def symbol_address(self, name: str) -> Optional[int]:
        """Return the address of symbol `name`, or None if the kernel has none."""

    def register(self, name: str) -> Optional[int]:
        """Return general register `name` (`rip`, `gs_base`) of the stopped thread, if known."""

    def threads(self) -> tuple[Thread, ...]:
        """Return the debugger's threads."""


def read_u32(target: Target, address: int) -> int:
    """Return the little-endian u32 at `address`; raise MemoryFault."""
    return int.from_bytes(target.read_memory(address, 4), "little")


def read_u64(target: Target, address: int) -> int:
    """Return the little-endian u64 at `address`; raise MemoryFault."""
    return int.from_bytes(target.read_memory(address, 8), "little")


def read_cstring(data: bytes) -> bytes:
    """Return `data` (a `char[]`) up to its first NUL, or all of it when it has none."""
    return data.split(b"\0", 1)[0]
