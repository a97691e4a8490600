# SPDX-License-Identifier: GPL-2.0-or-later
"""What an ELF file says of itself: sections, build-id, symbols. The file is mapped, not read.

A kernel with debugging information has half a gigabyte, of which little is wanted. Source: the
System V ABI's ELF-64 object file format.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from gdbfpu.errors import CorruptState, GdbFpuError

__all__ = (
    "Elf",
    "Section",
    "btf_section",
    "build_id",
    "find_build_id",
    "opened",
    "section_start",
    "static_string",
    "symbol_addresses",
)

_IDENT_SIZE, _CLASS_64, _LITTLE = 20, 2, 1
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # Elf64_Ehdr
_SECTION = struct.Struct("<IIQQQQIIQQ")  # Elf64_Shdr
_COMPRESSED = struct.Struct("<IIQQ")  # Elf64_Chdr
_SYMBOL = struct.Struct("<IBBHQQ")  # Elf64_Sym
_NOTE = struct.Struct("<III")  # Elf64_Nhdr
_PROGBITS, _SYMTAB, _NOTES, _NOBITS = 1, 2, 7, 8  # sh_type
_ALLOC, _IS_COMPRESSED = 1 << 1, 1 << 11  # sh_flags
_ZLIB = 1  # ch_type
_NT_GNU_BUILD_ID = 3
_LONGEST_NAME = 4096  # of a section
_X86_64 = 62  # e_machine
_MACHINES = {3: "EM_386", 40: "EM_ARM", 183: "EM_AARCH64", 243: "EM_RISCV"}
_DAMAGE = (LookupError, MemoryError, OverflowError, ValueError, struct.error, zlib.error)


class Section(NamedTuple):
    """A section header: `start` is its address, `offset` and `size` bytes of the file."""

    name: str
    kind: int
    flags: int
    start: int
    offset: int
    size: int
    link: int

    @property
    def present(self) -> bool:
        """Whether its contents are in this file."""
        return self.kind != _NOBITS


class _Window(mmap.mmap):
    """A part of a file as a stream of its own; a mapping itself has to begin at a page."""

    _before: int

    def __new__(cls, file: int, offset: int, size: int) -> _Window:
        before = offset % mmap.ALLOCATIONGRANULARITY
        made = super().__new__(
            cls, file, before + size, access=mmap.ACCESS_READ, offset=offset - before
        )
        made._before = before
        made.seek(0)
        return made

    def seek(self, position: int) -> None:  # type: ignore[override]
        """Go to a byte of the part; pyelftools counts from its start only."""
        super().seek(self._before + position)

    def tell(self) -> int:
        """Return the byte of the part that is read next."""
        return super().tell() - self._before


class Elf:
    """An ELF file for x86-64, open for as long as `opened` says."""

    def __init__(self, stream: BinaryIO) -> None:
        self._file = stream.fileno()
        self._map = mmap.mmap(self._file, 0, access=mmap.ACCESS_READ)
        self.sections = tuple(self._sections())

    def close(self) -> None:
        """Give the mapping back."""
        self._map.close()

    def _sections(self) -> Iterator[Section]:
        header = _HEADER.unpack_from(self._map)
        table, each, count, names = header[6], *header[11:14]
        if each != _SECTION.size:
            raise ValueError(f"its section headers have {each} bytes")
        raw = [_SECTION.unpack_from(self._map, table + each * i) for i in range(count)]
        texts = raw[names][4] if raw else 0
        for name, kind, flags, start, offset, size, link, *_ in raw:
            yield Section(self._text(texts + name), kind, flags, start, offset, size, link)

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
        data = self._map[section.offset : section.offset + section.size]
        if not section.present or len(data) != section.size:
            raise ValueError(f"section {section.name!r} is not in it")
        return _decompressed(data) if section.flags & _IS_COMPRESSED else data

    def stream(self, section: Section) -> BinaryIO:
        """Return the bytes of `section`, decompressed, as a stream that outlives the mapping."""
        if section.flags & _IS_COMPRESSED or not section.size or not section.present:
            return BytesIO(self.contents(section))
        return cast(BinaryIO, _Window(self._file, section.offset, section.size))

    def build_id(self) -> str | None:
        """Return the GNU build-id as hex, or None."""
        notes = (self.contents(section) for section in self.sections if section.kind == _NOTES)
        return next(filter(None, map(find_build_id, notes)), None)

    def string(self, address: int) -> bytes | None:
        """Return the string at `address` without its NUL, or None where no section holds it."""
        for s in self.sections:
            loaded = s.kind == _PROGBITS and s.flags & _ALLOC
            if loaded and s.start <= address < s.start + s.size:
                at, end = s.offset + address - s.start, s.offset + s.size
                stop = self._map.find(b"\0", at, end)
                return self._map[at : stop if stop >= 0 else end]
        return None

    def symbols(self, names: Iterable[str]) -> dict[str, int]:
        """Return the addresses of those symbols `names` that the symbol table defines, in order.

        The names are searched for, and then the symbols that bear them. A symbol's name can be
        the end of a longer one: linkers keep both once.
        """
        table = next((section for section in self.sections if section.kind == _SYMTAB), None)
        if table is None:
            return {}
        names = tuple(names)
        places = dict(self._places(names, self.sections[table.link]))
        data, found = self.contents(table), dict[str, int]()
        whole = memoryview(data)[: len(data) // _SYMBOL.size * _SYMBOL.size]
        for i, place in enumerate(whole.cast("I")[:: _SYMBOL.size // 4]):
            if place in places:
                _, _, _, section, address, _ = _SYMBOL.unpack_from(data, _SYMBOL.size * i)
                if section:
                    found.setdefault(places[place], address)
        return {name: found[name] for name in names if name in found}

    def _places(self, names: Iterable[str], texts: Section) -> Iterator[tuple[int, str]]:
        """Yield where in the string table `texts` each of `names` ends a string, and the name."""
        end = texts.offset + texts.size
        for name in names:
            text = name.encode() + b"\0"
            at = self._map.find(text, texts.offset, end)
            while at >= 0:
                yield at - texts.offset, name
                at = self._map.find(text, at + 1, end)


@contextmanager
def opened(file: Path) -> Iterator[Elf]:
    """Open an x86-64 ELF file for a block of code; what the block finds damaged is CorruptState.

    Raises GdbFpuError for what cannot be read and for what is no such file.
    """
    try:
        with file.open("rb") as stream:
            _check(file, stream.read(_IDENT_SIZE))
            elf = Elf(stream)
            try:
                yield elf
            finally:
                elf.close()
    except OSError as error:
        raise GdbFpuError(f"cannot read {file}: {error.strerror}") from error
    except _DAMAGE as error:
        raise CorruptState(f"{file} is damaged: {error}") from error


def _check(file: Path, ident: bytes) -> None:
    if ident[:4] != b"\x7fELF":
        raise GdbFpuError(f"{file} is not an ELF file")
    machine = int.from_bytes(ident[18:20], "little" if ident[5] == _LITTLE else "big")
    if (ident[4], ident[5], machine) != (_CLASS_64, _LITTLE, _X86_64):
        name = _MACHINES.get(machine, f"machine {machine}")
        raise GdbFpuError(f"{file} is for {name}, and gdbfpu reads EM_X86_64 kernels only")


def _decompressed(data: bytes) -> bytes:
    kind, _, size, _ = _COMPRESSED.unpack_from(data)
    if kind != _ZLIB:
        raise ValueError(f"a section is compressed in way {kind}, which is not zlib")
    found = zlib.decompressobj().decompress(data[_COMPRESSED.size :], size or 1)
    if len(found) != size:
        raise ValueError("a compressed section is cut off")
    return found


def find_build_id(notes: bytes) -> str | None:
    """Return the build-id (hex) among ELF `notes`, or None.

    A note is u32 sizes of name and descriptor, u32 type, both padded to 4 bytes.
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
    """Return the contents of section `.BTF` of the file `vmlinux`, or None where it has none.

    A compressed section is decompressed; one whose contents are in another file counts as none.
    Raises GdbFpuError for what is no ELF file, CorruptState for a damaged one.
    """
    with opened(vmlinux) as elf:
        section = elf.section(".BTF")
        return elf.contents(section) if section is not None and section.present else None


def build_id(vmlinux: Path) -> str | None:
    """Return the GNU build-id of the file `vmlinux` as hex, or None when it carries none."""
    with opened(vmlinux) as elf:
        return elf.build_id()


def section_start(vmlinux: Path, name: str) -> int | None:
    """Return the address of section `name` in the file `vmlinux`, None where it has none."""
    with opened(vmlinux) as elf:
        section = elf.section(name)
        return None if section is None else section.start


def static_string(vmlinux: Path, address: int) -> bytes:
    """Return the NUL-terminated string that the file `vmlinux` has for `address`, without NUL.

    Raises CorruptState when no section holds that address.
    """
    with opened(vmlinux) as elf:
        text = elf.string(address)
    if text is None:
        raise CorruptState(f"{vmlinux} has nothing at {address:#x}")
    return text


def symbol_addresses(vmlinux: Path, names: Iterable[str]) -> dict[str, int]:
    """Return the addresses of those symbols `names` that the file `vmlinux` defines, by name."""
    with opened(vmlinux) as elf:
        return elf.symbols(names)
