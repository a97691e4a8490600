# SPDX-License-Identifier: GPL-2.0-or-later
"""An ELF dump of a kernel: VMCOREINFO, what memory the file holds, and what a filter left out.

The kernel's /proc/vmcore is such a file, and so is what QEMU and `makedumpfile -E` write. A program
header with p_filesz < p_memsz says that the rest was left out. GDB and drgn read it as zeros.
Source: the System V ABI's ELF-64 object file format; makedumpfile's write_elf_pages_cyclic().
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from weakref import finalize

from gdbfpu.errors import LEFT_OUT, CorruptState, MemoryFault, UsageError
from gdbfpu.xsave.core import ELF_MAGIC

__all__ = ("Held", "Load", "Vmcore")

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # Elf64_Ehdr
_PROGRAM = struct.Struct("<IIQQQQQQ")  # Elf64_Phdr
_NOTE = struct.Struct("<III")  # Elf64_Nhdr
_64_LITTLE = bytes((2, 1))  # e_ident[EI_CLASS], e_ident[EI_DATA]
_CORE, _X86_64 = 4, 62  # e_type, e_machine
_PT_LOAD, _PT_NOTE = 1, 4  # p_type
_MANY, _SH_INFO = 0xFFFF, 44  # PN_XNUM: the number is in the first section header
_MOST_LOADS = 1 << 20
_MOST_NOTES = 1 << 24  # bytes; a CPU has a quarter of a page
_INFO = b"VMCOREINFO\0"
_TOP = 1 << 64
_NOWHERE = _TOP - 1  # p_paddr of a segment without one
_CUT = "the dump ends before it"


class Load(NamedTuple):
    """A program header PT_LOAD: of `size` bytes of memory, `saved` are in the file at `offset`."""

    virtual: int
    physical: int
    offset: int
    saved: int
    size: int


class Held:
    """The addresses, virtual or physical, that a dump has, and those that it left out."""

    def __init__(self, loads: Iterable[tuple[int, Load]]) -> None:
        """Take pairs: a program header, and before it the address where its memory begins."""
        rows = list(loads)
        saved = ((at, at + min(load.saved, load.size), load.offset) for at, load in rows)
        self._saved = _Ranges(saved)
        self._known = _Ranges((at, at + load.size, 0) for at, load in rows)

    def left_out(self, address: int, length: int) -> bool:
        """Return whether a filter left out some of the `length` bytes at `address`."""
        try:
            for _ in self.pieces(address, length):
                pass
        except MemoryFault as fault:
            return fault.why == LEFT_OUT
        return False

    def pieces(self, address: int, length: int) -> Iterator[tuple[int, int]]:
        """Yield offset in the file and length of what is at `address`; raise MemoryFault."""
        at, end = address, address + length
        while at < end:
            found = self._saved.find(at)
            if found is None:
                why = LEFT_OUT if self._known.find(at) else ""
                raise MemoryFault(address, length, why)
            start, stop, offset = found
            step = min(stop, end) - at
            yield offset + at - start, step
            at += step


class _Ranges:
    """Ranges of addresses (start, end, offset); where some overlap, the first one counts."""

    def __init__(self, rows: Iterable[tuple[int, int, int]]) -> None:
        self._rows = list(_disjoint(rows))
        self._starts = [row[0] for row in self._rows]

    def find(self, address: int) -> tuple[int, int, int] | None:
        """Return the range that contains `address`, or None."""
        place = bisect_right(self._starts, address) - 1
        row = self._rows[place] if place >= 0 else None
        return row if row is not None and address < row[1] else None


def _disjoint(rows: Iterable[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    last = 0
    for start, end, offset in sorted(rows):
        cut = max(0, last - start)
        if last < end <= _TOP and start < end:
            yield start + cut, end, offset + cut
            last = end


class Vmcore:
    """The ELF dump `path` of an x86-64 kernel, open for reading.

    Raises UsageError if it cannot be read or is another kind of file, CorruptState if it is
    damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            finalize(self, os.close, self._file)
            rows = self._rows()
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from error
        loads = [Load(r[3], r[4], r[2], r[5], r[6]) for r in rows if r[0] == _PT_LOAD]
        self._notes = [(row[2], row[5]) for row in rows if row[0] == _PT_NOTE]
        self._physical = Held((a.physical, a) for a in loads if a.physical != _NOWHERE)
        self.virtual = Held((a.virtual, a) for a in loads)
        """What the dump has by virtual address, as far as it says so."""

    def vmcoreinfo(self) -> bytes | None:
        """Return the contents of the note VMCOREINFO, or None if the dump has no such note."""
        left = _MOST_NOTES
        for offset, size in self._notes:
            data = self._at(offset, min(size, left))
            left -= len(data)
            found = _info(data)
            if found is not None:
                return found
        return None

    def read_physical(self, address: int, length: int) -> bytes:
        """Return `length` bytes at the physical `address`; raise MemoryFault."""
        return self._read(self._physical, address, length)

    def read_virtual(self, address: int, length: int) -> bytes:
        """Return `length` bytes at an `address` that a program header has; raise MemoryFault."""
        return self._read(self.virtual, address, length)

    def _read(self, held: Held, address: int, length: int) -> bytes:
        try:
            data = b"".join(self._at(*piece) for piece in held.pieces(address, length))
        except OSError as error:
            raise MemoryFault(address, length, str(error.strerror)) from error
        if len(data) != length:
            raise MemoryFault(address, length, _CUT)
        return data

    def _at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes of the file at `offset`, fewer if it ends before."""
        if offset >= _TOP >> 1:
            return b""
        return os.pread(self._file, size, offset)

    def _rows(self) -> list[tuple[int, ...]]:
        """Return the program headers, each as Elf64_Phdr."""
        head = self._at(0, _HEADER.size)
        if len(head) < _HEADER.size or head[:4] != ELF_MAGIC or head[4:6] != _64_LITTLE:
            raise UsageError(f"{self._path} is not an ELF dump of an x86-64 kernel")
        _, kind, machine, _, _, table, sections, _, _, each, count, *_ = _HEADER.unpack(head)
        if (kind, machine) != (_CORE, _X86_64):
            raise UsageError(f"{self._path} is not an ELF dump of an x86-64 kernel")
        if count == _MANY:
            count = int.from_bytes(self._at(sections + _SH_INFO, 4), "little")
        if each != _PROGRAM.size or count > _MOST_LOADS:
            raise CorruptState(f"{self._path} is damaged: {count} program headers of {each} bytes")
        data = self._at(table, each * count)
        if len(data) != each * count:
            raise CorruptState(f"{self._path} ends inside its program headers")
        return list(_PROGRAM.iter_unpack(data))


def _info(notes: bytes) -> bytes | None:
    """Return the contents of the note VMCOREINFO among `notes`, or None."""
    at = 0
    while at + _NOTE.size <= len(notes):
        name_size, size, _ = _NOTE.unpack_from(notes, at)
        name = at + _NOTE.size
        data = name + (name_size + 3 & ~3)
        if notes[name : name + name_size] == _INFO and data + size <= len(notes):
            return notes[data : data + size]
        at = data + (size + 3 & ~3)
    return None
