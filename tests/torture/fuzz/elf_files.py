# SPDX-License-Identifier: GPL-2.0-or-later
"""Take the sections that matter out of ELF files, write small ELF files of them, hurt these."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from random import Random
from typing import NamedTuple

import zstandard

from tests.torture.fuzz.hurting import number, some_bytes

__all__ = ("Section", "hurt", "packed", "sections", "small")

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_COMPRESSED = struct.Struct("<IIQQ")
_IS_COMPRESSED, _LINK = 1 << 11, 40  # sh_flags; offset of sh_link
_KEPT = (".debug_", ".BTF", ".note", ".symtab", ".strtab", ".gnu_debug", ".rodata")
_LEFT = (".debug_line", ".debug_loc", ".debug_rnglists", ".debug_ranges")
_FIELDS = ((0, 4), (4, 4), (8, 8), (24, 8), (24, 8), (32, 8), (32, 8), (_LINK, 4))


class Section(NamedTuple):
    """A section: its name, sh_type, sh_flags, sh_addr, and its bytes."""

    name: str
    kind: int
    flags: int
    start: int
    data: bytes


def sections(file: bytes) -> list[Section]:
    """Return the sections of a valid `file` that gdbfpu reads."""
    found = []
    for name, row in _rows(file):
        kept = name.startswith(_KEPT) and (name == ".debug_line_str" or not name.startswith(_LEFT))
        if kept and row[1] != 8:
            found.append(Section(name, row[1], row[2], row[3], file[row[4] : row[4] + row[5]]))
    return found


def small(parts: Iterable[Section], kind: int = 2) -> bytes:
    """Return an ELF file of e_type `kind` for x86-64 with these sections."""
    parts = [Section("", 0, 0, 0, b""), *parts, Section(".shstrtab", 3, 0, 0, b"")]
    names = b"".join(part.name.encode() + b"\0" for part in parts)
    parts[-1] = parts[-1]._replace(data=names)
    data, table, texts = bytearray(_HEADER.size), b"", 0
    links = next((i for i, part in enumerate(parts) if part.name == ".strtab"), 0)
    for part in parts:
        row = (part.kind, part.flags, part.start, len(data), len(part.data))
        link = links if part.kind == 2 else 0
        table += _SECTION.pack(texts, *row, link, 0, 1, 24 if part.kind == 2 else 0)
        texts += len(part.name) + 1
        data += part.data
    head = (b"\x7fELF\2\1\1".ljust(16, b"\0"), kind, 62, 1, 0, 0, len(data), 0, 64, 56, 0)
    data[: _HEADER.size] = _HEADER.pack(*head, 64, len(parts), len(parts) - 1)
    return bytes(data) + table


def packed(parts: Iterable[Section], how: str) -> list[Section]:
    """Return the sections with their debug information compressed: `zlib`, `zstd` or `gnu`."""
    return [
        _pack(part, how) if part.name.startswith((".debug", ".BTF")) else part for part in parts
    ]


def _pack(part: Section, how: str) -> Section:
    if how == "gnu":
        head = b"ZLIB" + len(part.data).to_bytes(8, "big")
        return part._replace(name=f".z{part.name[1:]}", data=head + zlib.compress(part.data))
    kind, body = (1, zlib.compress) if how == "zlib" else (2, zstandard.compress)
    head = _COMPRESSED.pack(kind, 0, len(part.data), 1)
    return part._replace(flags=part.flags | _IS_COMPRESSED, data=head + body(part.data))


def hurt(data: bytearray, random: Random) -> None:
    """Change the ELF file `data` in one place: its header, a section's header, a section."""
    kind, rows = random.random(), _rows(bytes(data))
    if kind < 0.05 or not rows:
        some_bytes(data, 0, min(len(data), 64), random)
        return
    table = _HEADER.unpack_from(data)[6]
    which = random.randrange(len(rows))
    name, row = rows[which]
    start, end = row[4], min(row[4] + row[5], len(data))
    if kind < 0.2:
        at, size = random.choice(_FIELDS)
        number(data, table + _SECTION.size * which + at, size, random)
    elif row[2] & _IS_COMPRESSED or name.startswith(".zdebug"):
        _hurt_packed(data, table + _SECTION.size * which, start, end, random)
    elif kind < 0.6:
        part = data[start:end]
        number(part, random.randrange(len(part) + 1), random.choice((1, 1, 2, 4, 4, 8)), random)
        data[start:end] = part
    elif kind < 0.8:  # what follows moves, the rest of the file does not know
        at = random.randrange(start, end + 1) if start <= end else len(data)
        data[at:at] = data[start : start + random.choice((1, 11, 64, 1000))]
    else:
        some_bytes(data, start, end, random)


def _hurt_packed(data: bytearray, header: int, start: int, end: int, random: Random) -> None:
    """Change a compressed section, within or without."""
    if random.random() < 0.5:
        number(data, start + random.choice((0, 4, 8, 8, 8)), random.choice((4, 8)), random)
        return
    kind = int.from_bytes(data[start : start + 4], "little")
    head, body = data[start : start + _COMPRESSED.size], bytes(data[start + 24 : end])
    try:
        inner = bytearray((zlib.decompress if kind == 1 else zstandard.decompress)(body))
    except (zlib.error, zstandard.ZstdError, MemoryError):
        some_bytes(data, start, end, random)
        return
    for _ in range(random.choice((1, 3))):
        some_bytes(inner, 0, len(inner), random)
    body = (zlib.compress if kind == 1 else zstandard.compress)(bytes(inner))
    struct.pack_into("<QQ", data, header + 24, len(data), len(head) + len(body))
    data += head + body


def _rows(file: bytes) -> list[tuple[str, tuple[int, ...]]]:
    """Return name and header of each section, as far as `file` has them."""
    if len(file) < _HEADER.size:
        return []
    header = _HEADER.unpack_from(file)
    table, count, names = header[6], header[12], header[13]
    fits = (table + _SECTION.size * i for i in range(min(count, 64)))
    rows = [_SECTION.unpack_from(file, at) for at in fits if at + _SECTION.size <= len(file)]
    texts = rows[names][4] if names < len(rows) else 0
    ends = ((texts + row[0], file.find(b"\0", texts + row[0])) for row in rows)
    return [(file[at : max(at, end)].decode("latin-1"), r) for (at, end), r in zip(ends, rows)]
