# SPDX-License-Identifier: GPL-2.0-or-later
"""List the units in DWARF, and find the units that contain an address, without parsing any unit.

A unit's header has the unit's length, so reading all headers is fast. Source: DWARF 5, 6.1.2 and
7.5.1; DWARF 4 for `.debug_types`.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from gdbfpu.layouts.part import Part

__all__ = (
    "SKELETON",
    "TYPE_KINDS",
    "Header",
    "containing",
    "ranges",
    "read_header",
    "read_headers",
)

SKELETON = 4
"""The unit type DW_UT_skeleton."""

TYPE_KINDS = (2, 6)
"""The unit types DW_UT_type and DW_UT_split_type."""

_SPLIT_KINDS = (SKELETON, 5)  # 5 is DW_UT_split_compile; both have a dwo_id
_MAX_UNITS = 1 << 18  # a distribution's kernel has thousands, after dwz ten times as many
_MAX_RANGES = 16 << 20  # bytes of .debug_aranges; a distribution's kernel has 150,000
_WIDE = 0xFFFFFFFF  # the length of a unit in 64-bit DWARF starts with this
_SET = struct.Struct("<IHIBB")  # a set of .debug_aranges: length, version, unit, sizes
_WIDE_SET = struct.Struct("<QHQBB")  # the same in 64-bit DWARF, after the first four bytes
_RANGE = struct.Struct("<QQ")  # address, size; in a set, the first is aligned to this struct's size


class Header(NamedTuple):
    """A unit's header.

    - `offset`, `size`: bytes of its section; `size` includes the header.
    - `kind`: its unit type (DW_UT_*). Up to DWARF 4 it is 0, or DW_UT_type in `.debug_types`.
    - `signature`: the dwo_id, or the signature of the unit's type.
    - `type_at`: the offset of that type in the unit.
    """

    offset: int
    size: int
    version: int
    kind: int
    signature: int
    type_at: int

    @property
    def section(self) -> str:
        """Return the section of the unit: `info`, or `types` for `.debug_types`."""
        return "types" if self.kind == TYPE_KINDS[0] and self.version < 5 else "info"


def read_headers(part: Part, of_types: bool = False) -> tuple[Header, ...]:
    """Return the headers of all units of `.debug_info`, or of `.debug_types`, in order.

    Raises ValueError for damage.
    """
    found: list[Header] = []
    at = 0
    while at < part.size:
        if len(found) == _MAX_UNITS:
            raise ValueError(f"more than {_MAX_UNITS} units of debug information")
        found.append(read_header(part, at, of_types))
        at += found[-1].size
    return tuple(found)


def read_header(part: Part, at: int, of_types: bool = False) -> Header:
    """Return the header of the unit at byte `at`; raise ValueError for damage."""
    data = part.bytes(at, 48)
    length, word, after = int.from_bytes(data[:4], "little"), 4, 4
    if length == _WIDE:
        length, word, after = int.from_bytes(data[4:12], "little"), 8, 12
    version = int.from_bytes(data[after : after + 2], "little")
    fixed = after + 2 + word + 1  # version, place of the abbreviations, size of addresses
    if length < word + 3 or not 2 <= version <= 5 or at + after + length > part.size:
        raise ValueError(f"its debug information has no unit at {at:#x}")
    kind = TYPE_KINDS[0] if of_types else 0
    if version == 5:
        kind, fixed = data[after + 2], fixed + 1
    signature = type_at = 0
    if kind in TYPE_KINDS or kind in _SPLIT_KINDS:
        signature = int.from_bytes(data[fixed : fixed + 8], "little")
    if kind in TYPE_KINDS:
        type_at = int.from_bytes(data[fixed + 8 : fixed + 8 + word], "little")
    return Header(at, after + length, version, kind, signature, type_at)


def containing(headers: tuple[Header, ...], offset: int) -> Header:
    """Return the unit that contains byte `offset` of the section; raise ValueError if none."""
    number = bisect_right(headers, (offset, _WIDE << 32)) - 1
    if number < 0 or offset >= headers[number].offset + headers[number].size:
        raise ValueError(f"no unit of its debug information contains {offset:#x}")
    return headers[number]


def ranges(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield address, size in bytes and compile unit of each range in `.debug_aranges`.

    Sets whose addresses do not have 8 bytes are skipped: they do not come from the kernel. Raises
    ValueError for damage.
    """
    if len(data) > _MAX_RANGES:
        raise ValueError(f"its .debug_aranges has {len(data)} bytes")
    at = 0
    while at + _SET.size <= len(data):
        length, _version, unit, address_size, segment_size = _SET.unpack_from(data, at)
        first, end = at + _RANGE.size, at + 4 + length  # the header is padded to a range's size
        if length == _WIDE:
            length, _version, unit, address_size, segment_size = _WIDE_SET.unpack_from(data, at + 4)
            first, end = at + 2 * _RANGE.size, at + 12 + length
        if end > len(data):
            raise ValueError("its .debug_aranges is cut off")
        if (address_size, segment_size) == (8, 0):
            whole = first + max(0, end - first) // _RANGE.size * _RANGE.size
            for start, size in _RANGE.iter_unpack(data[first:whole]):
                yield start, size, unit
        at = end
