# SPDX-License-Identifier: GPL-2.0-or-later
"""Find the DWARF units that contain a name by searching for bytes, if no table leads to them.

A name is stored once as a string. A unit refers to it by a four-byte offset, or by an index into
its table of such offsets. This module searches for the bytes of the offset or the index, and parses
nothing. So a unit that it finds may contain the name, but need not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from gdbfpu.layouts.dwarf import Dwarf
from gdbfpu.layouts.part import Part
from gdbfpu.layouts.units import Header, containing

__all__ = ("mentioning",)

_MAX_PLACES = 32  # at which one string may be
_MAX_REFERENCES = 4096  # to one such place


def mentioning(dwarf: Dwarf, text: bytes) -> Iterator[Header]:
    """Yield each unit that may contain the name `text`; raise ValueError for damage."""
    seen = set()
    for header in _mentioning(dwarf, text):
        if header not in seen:
            seen.add(header)
            yield header


def _mentioning(dwarf: Dwarf, text: bytes) -> Iterator[Header]:
    yield from _by_index(dwarf, text)
    for section in ("info", "types"):
        part = dwarf.part(section)
        for at in _references(dwarf, part, text):
            headers = dwarf.headers if section == "info" else dwarf.type_headers
            yield containing(headers, at)


def _references(dwarf: Dwarf, part: Part, text: bytes) -> Iterator[int]:
    """Yield where in `part` there may be a reference to the string `text`, or the string itself."""
    for each in (dwarf, dwarf.alternate):
        if each is not None:
            for place in _places(dwarf, each.part("str"), text):
                yield from _found(dwarf, part, place.to_bytes(4, "little"), _MAX_REFERENCES)
    yield from _found(dwarf, part, text + b"\0", _MAX_REFERENCES)


def _by_index(dwarf: Dwarf, text: bytes) -> Iterator[Header]:
    """Yield the units whose table of strings (`.debug_str_offsets`) contains `text`.

    If several units share a table (LTO), yield only those that contain the string's index.
    """
    tables = dwarf.part("str_offsets")
    wanted = [
        at
        for place in _places(dwarf, dwarf.part("str"), text)
        for at in _found(dwarf, tables, place.to_bytes(4, "little"), _MAX_REFERENCES)
    ]
    starts: dict[int, list[Header]] = {}
    for header in (*dwarf.headers, *dwarf.type_headers) if wanted else ():
        start = dwarf.strings_at(dwarf.unit(header))
        if start is not None:
            starts.setdefault(start, []).append(header)
    order = sorted(starts)
    for at in wanted:
        number = bisect_right(order, at) - 1
        if number >= 0:
            start = order[number]
            yield from _with_index(dwarf, starts[start], at - start)


def _with_index(dwarf: Dwarf, headers: list[Header], at: int) -> Iterator[Header]:
    """Yield the units that may contain the index of the entry at byte `at` of a shared table."""
    for header in headers:
        index = at * 8 // dwarf.unit(header).dwarf_format()
        form = index.to_bytes((index.bit_length() + 7) // 8 or 1, "little")  # DW_FORM_strx1 to 4
        unit = dwarf.part(header.section).part(header.offset, header.size)
        if len(headers) == 1 or unit.find(form) >= 0:
            yield header


def _places(dwarf: Dwarf, texts: Part, text: bytes) -> tuple[int, ...]:
    """Return where in the string section `texts` the string `text` may be.

    If the string is the end of a longer one, a linker may keep only the longer one.
    """
    if texts.bytes(0, len(text) + 1) == text + b"\0":
        return (0,)
    whole = texts.find(b"\0" + text + b"\0")
    return (whole + 1,) if whole >= 0 else tuple(_found(dwarf, texts, text + b"\0", _MAX_PLACES))


def _found(dwarf: Dwarf, part: Part, pattern: bytes, most: int) -> Iterator[int]:
    """Yield where the bytes `pattern` are in `part`, up to the search limit of `dwarf`."""
    begun = 0
    for _ in range(most):
        at = part.find(pattern, begun) if dwarf.search_left > 0 else -1
        dwarf.search_left -= (at if at >= 0 else part.size) - begun
        if at < 0:
            return
        yield at
        begun = at + 1
