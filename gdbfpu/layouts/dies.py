# SPDX-License-Identifier: GPL-2.0-or-later
"""Read a DWARF entry (a DIE): its children, its name, the entries it refers to."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

from gdbfpu.errors import GdbFpuError

__all__ = ("INDEX", "children", "name", "referred", "refers_away", "root", "string")

INDEX = "DW_FORM_addrx"
"""A prefix of form names.

gdbfpu.layouts.dwarf renames each form whose value is an index into a table: the new name begins
with this prefix.
"""

_REFERENCES = ("DW_FORM_GNU_ref_alt", "DW_FORM_ref_sup4", "DW_FORM_ref_sup8")
_AWAY = ("DW_FORM_ref_sig8", "DW_FORM_ref_addr", *_REFERENCES)
_SIBLING, _SIBLING_BYTES = ("DW_AT_sibling", "DW_FORM_ref4"), 4
_LONG = 256  # bytes; a longer entry has a text in it, which pyelftools reads byte by byte
_ALTERNATE = ("DW_FORM_GNU_strp_alt", "DW_FORM_strp_sup")


def root(unit: Any) -> Any:
    """Return the top DIE of `unit`."""
    return unit.get_top_DIE()


def children(die: Any, tags: Container[str] = ()) -> Iterator[Any]:
    """Yield the children of `die`. A hostile DW_AT_sibling cannot make this read a byte twice.

    With `tags`, children of other tags may be left out, unless they refer to another unit.
    """
    if not die.has_children:
        return
    unit, dwarf, depth = die.cu, die.dwarfinfo.dwarf, 0
    at, end = die.offset + die.size, unit.cu_offset + unit.size
    unread = _Unread(die, tags) if tags else None
    while at < end:
        after = unread.after(at) if unread else None
        if after is not None:
            dwarf.spend(1)
            at = after
            continue
        child = type(die)(unit, die.stream, at) if depth else unit.get_DIE_from_refaddr(at)
        dwarf.spend(3 + 2 * len(child.attributes) + child.size // 4 + max(0, child.size - _LONG))
        at += child.size
        if child.is_null():
            if not depth:
                return
            depth -= 1
            continue
        if not depth:
            yield child
        if child.has_children:
            sibling = child.attributes.get("DW_AT_sibling")
            if sibling is None:
                depth += 1
            else:
                at = _sibling_offset(child, sibling, at)
    raise ValueError(f"the unit at {unit.cu_offset:#x} ends within an entry")


class _Unread:
    """Goes past children of `die` without parsing them.

    Their tags are not in `tags`, and they refer to no other unit. Their abbreviation gives the size
    of all attributes, or of those before DW_AT_sibling.
    """

    def __init__(self, die: Any, tags: Container[str]) -> None:
        self._stream, self._unit, self._tags = die.stream, die.cu, tags
        self._dwarf = die.dwarfinfo.dwarf
        self._known: dict[int, tuple[int, bool] | None] = {}

    def after(self, at: int) -> int | None:
        """Return where the entry at `at` ends with its children, None if it has to be parsed."""
        self._stream.seek(at)
        first, second = self._stream.read(2).ljust(2, b"\0")
        if second >= 0x80 <= first:
            return None
        code, start = (first, at + 1) if first < 0x80 else (first & 0x7F | second << 7, at + 2)
        if code not in self._known:
            self._known[code] = self._measured(code)
        known = self._known[code]
        if known is None:
            return None
        size, has_children = known
        return self._sibling(at, start + size) if has_children else start + size

    def _sibling(self, at: int, place: int) -> int:
        self._stream.seek(place)
        distance = int.from_bytes(self._stream.read(_SIBLING_BYTES), "little")
        return _later(at, self._unit.cu_offset + distance, place + _SIBLING_BYTES)

    def _measured(self, code: int) -> tuple[int, bool] | None:
        """Return the size of attributes in bytes, and whether the entry has children."""
        found = self._unit.get_abbrev_table().get_abbrev(code) if code else None
        if found is None or found["tag"] in self._tags:
            return None
        specs = [(spec.name, spec.form) for spec in found["attr_spec"]]
        forms = [form for _, form in specs]
        has_children = found.has_children()
        if any(form in _AWAY for form in forms) or (has_children and _SIBLING not in specs):
            return None
        if has_children:
            forms = forms[: specs.index(_SIBLING)]
        size = self._dwarf.fixed_size(self._unit, forms)
        return None if size is None else (size, has_children)


def _sibling_offset(die: Any, sibling: Any, least: int) -> int:
    base = 0 if sibling.form == "DW_FORM_ref_addr" else die.cu.cu_offset
    number = sibling.raw_value
    return _later(die.offset, base + number if isinstance(number, int) else -1, least)


def _later(at: int, sibling: int, least: int) -> int:
    """Return `sibling`, which has to be `least` or more; raise ValueError."""
    if sibling < least:
        raise ValueError(f"the entry at {at:#x} has a sibling that does not follow it")
    return sibling


def name(die: Any) -> bytes:
    """Return the name of `die`, empty if it has none."""
    return string(die, "DW_AT_name")


def string(die: Any, attribute: str) -> bytes:
    """Return the string value of `attribute` of `die`, empty if `die` does not have it."""
    found = die.attributes.get(attribute)
    if found is None:
        return b""
    if found.form.startswith(INDEX):
        return bytes(die.dwarfinfo.dwarf.string(die.cu, found.value))
    if found.form in _ALTERNATE and die.dwarfinfo.dwarf.alternate is None:
        raise GdbFpuError(die.dwarfinfo.dwarf.why_missing)
    if not isinstance(found.value, bytes):
        raise ValueError(f"{attribute} of the entry at {die.offset:#x} is not a string")
    return found.value


def refers_away(die: Any) -> bool:
    """Return whether the type of `die` is in another unit."""
    found = die.attributes.get("DW_AT_type")
    return found is not None and found.form in _AWAY


def referred(die: Any, attribute: str = "DW_AT_type") -> Any:
    """Return the DIE that `attribute` of `die` refers to, None if `die` does not have it."""
    found = die.attributes.get(attribute)
    if found is None:
        return None
    if found.form in _REFERENCES and die.dwarfinfo.dwarf.alternate is None:
        raise GdbFpuError(die.dwarfinfo.dwarf.why_missing)
    return die.get_DIE_from_attribute(attribute)
