# SPDX-License-Identifier: GPL-2.0-or-later
"""Read an ELF file: sections, build-id, symbols.

The file is mapped, because a kernel with debug information has half a gigabyte, and we need little
of the file. Source: the System V ABI's ELF-64 object file format.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import compress, count, islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from gdbfpu.errors import CorruptState, GdbFpuError
from gdbfpu.layouts.compression import MAX_BYTES, decompressed, decompressed_gnu
from gdbfpu.layouts.kinds import HEAD_SIZE, check_kernel, is_relocatable
from gdbfpu.layouts.part import Part

__all__ = (
    "DAMAGE",
    "Elf",
    "Section",
    "btf_section",
    "build_id",
    "find_build_id",
    "open_elf",
    "opened",
    "section_start",
    "static_string",
    "symbol_addresses",
)

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # Elf64_Ehdr
_SECTION = struct.Struct("<IIQQQQIIQQ")  # Elf64_Shdr
_SYMBOL = struct.Struct("<IBBHQQ")  # Elf64_Sym
_NOTE = struct.Struct("<III")  # Elf64_Nhdr
_PROGBITS, _SYMTAB, _NOTES, _NOBITS = 1, 2, 7, 8  # sh_type
_ALLOC, _IS_COMPRESSED = 1 << 1, 1 << 11  # sh_flags
_GNU_PREFIX = ".zdebug_"  # prefix of section names in GNU's older compressed format
_NT_GNU_BUILD_ID = 3
_MAX_NOTES, _MOST_NOTES = 1 << 16, 64  # the most bytes of a note section, the most note sections
_LONGEST_NAME = 4096  # of a section

DAMAGE = (LookupError, MemoryError, OverflowError, ValueError, struct.error, zlib.error)
"""The exceptions that a damaged file can cause."""


class Section(NamedTuple):
    """A section header. `start` is its address, `offset` and `size` are bytes of the file.

    A section `.zdebug_NAME` is called `.debug_NAME` here, and `gnu` is true.
    """

    name: str
    kind: int
    flags: int
    start: int
    offset: int
    size: int
    link: int
    gnu: bool = False

    @property
    def present(self) -> bool:
        """Whether its contents are in this file."""
        return self.kind != _NOBITS


class Elf:
    """An open ELF file for x86-64."""

    def __init__(self, stream: BinaryIO) -> None:
        self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        self._left = MAX_BYTES  # that may still be decompressed
        self._parts: dict[Section, Part] = {}
        self.sections = tuple(self._sections())
        self._file = os.dup(stream.fileno())

    def close(self) -> None:
        """Close the mapping and the file."""
        self._map.close()
        os.close(self._file)

    def _sections(self) -> Iterator[Section]:
        header = _HEADER.unpack_from(self._map)
        table, each, count, names = header[6], *header[11:14]
        if each != _SECTION.size:
            raise ValueError(f"its section headers have {each} bytes")
        raw = [_SECTION.unpack_from(self._map, table + each * i) for i in range(count)]
        texts = raw[names][4] if raw else 0
        for name, kind, flags, start, offset, size, link, *_ in raw:
            text = self._text(texts + name)
            gnu = text.startswith(_GNU_PREFIX)
            text = f".{text[2:]}" if gnu else text
            yield Section(text, kind, flags, start, offset, size, link, gnu)

    def _text(self, at: int) -> str:
        end = self._map.find(b"\0", at, at + _LONGEST_NAME)
        if end < 0:
            raise ValueError(f"it has no name at {at}")
        return self._map[at:end].decode("utf-8", "replace")

    def section(self, name: str) -> Section | None:
        """Return the section called `name`, or None."""
        return next((section for section in self.sections if section.name == name), None)

    def contents(self, section: Section) -> bytes:
        """Return the bytes of `section`, decompressed."""
        return self.part(section).bytes()

    def part(self, section: Section) -> Part:
        """Return the bytes of `section`: mapped, or decompressed once if compressed."""
        if section not in self._parts:
            if not section.present or section.offset + section.size > len(self._map):
                raise ValueError(f"section {section.name!r} is not in it")
            part = Part(self._map, section.offset, section.size, self._file)
            self._parts[section] = self._unpacked(section, part)
        return self._parts[section]

    def _unpacked(self, section: Section, part: Part) -> Part:
        packed = section.flags & _IS_COMPRESSED
        if not packed and not section.gnu:
            return part
        data = (decompressed if packed else decompressed_gnu)(part.bytes(), self._left)
        self._left -= len(data)
        return Part(data, 0, len(data))

    def build_id(self) -> str | None:
        """Return the GNU build-id as hex, or None."""
        small = (s for s in self.sections if s.kind == _NOTES and s.size <= _MAX_NOTES)
        notes = map(self.contents, islice(small, _MOST_NOTES))
        return next(filter(None, map(find_build_id, notes)), None)

    def string(self, address: int) -> bytes | None:
        """Return the string at `address` without its NUL, None if no section contains it."""
        for s in self.sections:
            loaded = s.kind == _PROGBITS and s.flags & _ALLOC
            if loaded and s.start <= address < s.start + s.size:
                at, end = s.offset + address - s.start, s.offset + s.size
                stop = self._map.find(b"\0", at, end)
                return self._map[at : stop if stop >= 0 else end]
        return None

    def symbols(self, names: Iterable[str]) -> dict[str, int]:
        """Return the addresses of those `names` that the symbol table defines, in their order.

        This first searches the string table for the names, then the symbol table for symbols with
        these strings. If a name is the end of a longer name, linkers store only the longer name.
        """
        table = next((section for section in self.sections if section.kind == _SYMTAB), None)
        if table is None:
            return {}
        names = tuple(names)
        places = dict(self._places(names, self.sections[table.link]))
        data, found = self.contents(table), dict[str, int]()
        whole = memoryview(data)[: len(data) // _SYMBOL.size * _SYMBOL.size]
        matches = map(places.__contains__, whole.cast("I")[:: _SYMBOL.size // 4])
        for i in compress(count(), matches):
            place, _, _, section, address, _ = _SYMBOL.unpack_from(data, _SYMBOL.size * i)
            if section:
                found.setdefault(places[place], address)
        return {name: found[name] for name in names if name in found}

    def _places(self, names: Iterable[str], texts: Section) -> Iterator[tuple[int, str]]:
        """Yield each place in the string table `texts` where one of `names` begins, and the name.

        The name may be the end of a longer string there.
        """
        end = texts.offset + texts.size
        for name in names:
            text = name.encode() + b"\0"
            at = self._map.find(text, texts.offset, end)
            while at >= 0:
                yield at - texts.offset, name
                at = self._map.find(text, at + 1, end)


def open_elf(file: Path, *, split: bool = False) -> Elf:
    """Open an x86-64 ELF executable; with `split`, also an object such as a .dwo file.

    Raises GdbFpuError if the file cannot be read or is of another kind.
    """
    try:
        if not stat.S_ISREG(file.stat().st_mode) and not file.is_dir():
            raise GdbFpuError(f"{file} is not a regular file")
        with file.open("rb") as stream:
            head = stream.read(HEAD_SIZE)
            if not (split and is_relocatable(head)):
                check_kernel(file, head)
            return Elf(stream)
    except OSError as error:
        raise GdbFpuError(f"cannot read {file}: {error.strerror}") from error
    except DAMAGE as error:
        raise CorruptState(f"{file} is damaged: {error}") from error


@contextmanager
def opened(file: Path) -> Iterator[Elf]:
    """Open an x86-64 kernel for a block of code. Turn errors about damage into CorruptState.

    Raises what `open_elf` raises.
    """
    elf = open_elf(file)
    try:
        yield elf
    except DAMAGE as error:
        raise CorruptState(f"{file} is damaged: {error}") from error
    finally:
        elf.close()


def find_build_id(notes: bytes) -> str | None:
    """Return the build-id (hex) among ELF `notes`, or None.

    A note is the u32 sizes of name and descriptor, a u32 type, the name and the descriptor. Both
    are padded to 4 bytes.
    """
    at = 0
    while at + _NOTE.size <= len(notes):
        name_size, size, kind = _NOTE.unpack_from(notes, at)
        name = at + _NOTE.size
        data = name + (name_size + 3 & ~3)
        if kind == _NT_GNU_BUILD_ID and notes[name : name + name_size] == b"GNU\0":
            return notes[data : data + size].hex()
        at = data + (size + 3 & ~3)
    return None


def btf_section(vmlinux: Path) -> bytes | None:
    """Return the contents of section `.BTF` of the file `vmlinux`, None if it has none.

    A compressed section is decompressed. A section whose contents are in another file counts as
    missing. Raises GdbFpuError if this is not an ELF file, CorruptState if it is damaged.
    """
    with opened(vmlinux) as elf:
        section = elf.section(".BTF")
        return elf.contents(section) if section is not None and section.present else None


def build_id(vmlinux: Path) -> str | None:
    """Return the GNU build-id of the file `vmlinux` as hex, None if it has none."""
    with opened(vmlinux) as elf:
        return elf.build_id()


def section_start(vmlinux: Path, name: str) -> int | None:
    """Return the address of section `name` in the file `vmlinux`, None if it is missing."""
    with opened(vmlinux) as elf:
        section = elf.section(name)
        return None if section is None else section.start


def static_string(vmlinux: Path, address: int) -> bytes:
    """Return the NUL-terminated string at `address` in the file `vmlinux`, without the NUL.

    Raises CorruptState if no section contains that address.
    """
    with opened(vmlinux) as elf:
        text = elf.string(address)
    if text is None:
        raise CorruptState(f"{vmlinux} has nothing at {address:#x}")
    return text


def symbol_addresses(vmlinux: Path, names: Iterable[str]) -> dict[str, int]:
    """Return the address of each of `names` that the file `vmlinux` defines as a symbol."""
    with opened(vmlinux) as elf:
        return elf.symbols(names)
