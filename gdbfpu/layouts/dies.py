# SPDX-License-Identifier: GPL-2.0-or-later
"""Read a DWARF entry (a DIE): its children, its name, the entries it refers to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gdbfpu.errors import GdbFpuError

__all__ = ("INDEX", "children", "name", "referred", "refers_away", "root", "string")

INDEX = "DW_FORM_addrx"
"""A prefix of form names.

gdbfpu.layouts.dwarf renames each form whose value is an index into a table: the new name begins
with this prefix.
"""

_REFERENCES = ("DW_FORM_GNU_ref_alt", "DW_FORM_ref_sup4", "DW_FORM_ref_sup8")
_ALTERNATE = ("DW_FORM_GNU_strp_alt", "DW_FORM_strp_sup")


def root(unit: Any) -> Any:
    """Return the top DIE of `unit`."""
    return unit.get_top_DIE()


def children(die: Any) -> Iterator[Any]:
    """Yield the children of `die`. A hostile DW_AT_sibling cannot make this read a byte twice."""
    if not die.has_children:
        return
    unit, dwarf, depth = die.cu, die.dwarfinfo.dwarf, 0
    at, end = die.offset + die.size, unit.cu_offset + unit.size
    while at < end:
        child = type(die)(unit, die.stream, at) if depth else unit.get_DIE_from_refaddr(at)
        dwarf.spend(3 + 2 * len(child.attributes) + child.size // 4)
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


def _sibling_offset(die: Any, sibling: Any, least: int) -> int:
    base = 0 if sibling.form == "DW_FORM_ref_addr" else die.cu.cu_offset
    if not isinstance(sibling.raw_value, int) or base + sibling.raw_value < least:
        raise ValueError(f"the entry at {die.offset:#x} has a sibling that does not follow it")
    return int(base + sibling.raw_value)


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
    return found is not None and found.form in (
        "DW_FORM_ref_sig8",
        "DW_FORM_ref_addr",
        *_REFERENCES,
    )


def referred(die: Any, attribute: str = "DW_AT_type") -> Any:
    """Return the DIE that `attribute` of `die` refers to, None if `die` does not have it."""
    found = die.attributes.get(attribute)
    if found is None:
        return None
    if found.form in _REFERENCES and die.dwarfinfo.dwarf.alternate is None:
        raise GdbFpuError(die.dwarfinfo.dwarf.why_missing)
    return die.get_DIE_from_attribute(attribute)
