# SPDX-License-Identifier: GPL-2.0-or-later
"""Turn a type's entry (DIE) in DWARF into its layout. The entry is untrusted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gdbfpu.errors import CorruptState
from gdbfpu.layouts.dies import children, name, referred
from gdbfpu.layouts.types import Member, StructLayout, check_struct
from gdbfpu.text.printable import printable

__all__ = ("STRUCTS", "Incomplete", "StructReader")

STRUCTS = ("DW_TAG_structure_type", "DW_TAG_union_type")
"""The DWARF tags of types with members."""

_TRANSPARENT = (
    "DW_TAG_typedef",
    "DW_TAG_const_type",
    "DW_TAG_volatile_type",
    "DW_TAG_restrict_type",
    "DW_TAG_atomic_type",
)
_POINTER_BYTES = 8
_PLUS_UCONST = 0x23  # DW_OP_plus_uconst: how DWARF 2 says where a member is
_MAX_DEPTH = 64  # of chained typedefs, arrays of arrays, nested anonymous structs
_MAX_MEMBERS = 1 << 16  # of all types and their anonymous members
_MAX_BYTES = 1 << 31  # of a type, and elements of an array


class Incomplete(Exception):
    """A struct has a member whose type is only declared, so its size is not known."""


class StructReader:
    """Reads types. Calls `seen` with the DIE of each struct or union that members refer to."""

    def __init__(self, seen: Callable[[Any], None]) -> None:
        self._seen = seen
        self._left = _MAX_MEMBERS

    def layout(self, text: bytes, die: Any) -> StructLayout | None:
        """Return the layout of the struct or union that `die` defines, under the name `text`.

        Returns None for a declaration, for a typedef of a struct with a tag, and for other types.
        Raises Incomplete, CorruptState and what pyelftools raises.
        """
        struct = _strip(die) if die.tag == "DW_TAG_typedef" else _defined(die)
        if struct is None or not _is_complete(struct) or (die.tag not in STRUCTS and name(struct)):
            return None
        size = _number(struct, "DW_AT_byte_size", 0)
        members = tuple(self._members(struct, 0, _MAX_DEPTH))
        return check_struct(StructLayout(printable(text), size, members))

    def _members(self, struct: Any, base: int, depth: int) -> Iterator[Member]:
        """Yield the members of `struct`, which is `base` bytes into the outermost type."""
        end = base + _number(struct, "DW_AT_byte_size", 0)
        for die in children(struct):
            if die.tag != "DW_TAG_member":
                continue
            self._left -= 1
            if self._left < 0 or not depth:
                raise CorruptState("a type in DWARF contains itself, or too many members")
            kind, offset, text = _strip(referred(die)), base + _location(die), name(die)
            if text:
                member = self._member(printable(text), die, kind, offset)
                check_struct(StructLayout("", end, (member,)))
                yield member
            elif kind is not None and kind.tag in STRUCTS:
                yield from self._members(kind, offset, depth - 1)

    def _member(self, text: str, die: Any, kind: Any, offset: int) -> Member:
        bit_size, bit_offset = die.attributes.get("DW_AT_bit_size"), None
        width = None
        if bit_size is not None:
            width = _number(die, "DW_AT_bit_size", 0)
            bits = _bits(die, kind, width)
            offset, bit_offset = offset + bits // 8, bits % 8
        element, count = _element(kind)
        pointer = element is not None and element.tag == "DW_TAG_pointer_type"
        tagged = _strip(referred(element)) if pointer else element
        tag = b""
        if tagged is not None and tagged.tag in STRUCTS:
            tag = name(tagged)
            self._seen(tagged)
        size = _size(kind)
        return Member(text, offset, size, printable(tag), pointer, count, bit_offset, width)


def _bits(die: Any, kind: Any, width: int) -> int:
    """Return a bit-field's first bit, counted from the start of the member."""
    if "DW_AT_data_bit_offset" in die.attributes:
        return _number(die, "DW_AT_data_bit_offset", 0)
    # DWARF 2 and 3 count from the most significant bit of the storage unit
    unit = _number(die, "DW_AT_byte_size", _size(kind)) * 8
    return unit - _number(die, "DW_AT_bit_offset", 0) - width


def _location(member: Any) -> int:
    """Return the offset of a member: a number, or in DWARF 2 an expression that adds a number."""
    if "DW_AT_data_member_location" not in member.attributes:
        return 0
    value = member.attributes["DW_AT_data_member_location"].value
    if isinstance(value, int):
        return value
    if not value or value[0] != _PLUS_UCONST:
        raise CorruptState(f"member {printable(name(member))!r} has no fixed offset")
    return sum((byte & 0x7F) << 7 * i for i, byte in enumerate(value[1:10]))  # ULEB128


def _element(kind: Any) -> tuple[Any, int | None]:
    if kind is None or kind.tag != "DW_TAG_array_type":
        return kind, None
    return _strip(referred(kind)), _array_count(kind)


def _array_count(array: Any) -> int:
    count = 1
    for bound in children(array):
        if "DW_AT_count" in bound.attributes:
            count *= _number(bound, "DW_AT_count", 0)
        else:
            count *= _number(bound, "DW_AT_upper_bound", -1) + 1
        if not 0 <= count <= _MAX_BYTES:
            raise CorruptState(f"an array in DWARF has {count} elements")
    return count


def _size(kind: Any) -> int:
    """Return the size in bytes of a type; 0 for void and functions. Raises Incomplete."""
    count = 1
    for _ in range(_MAX_DEPTH):
        if kind is None:
            return 0
        if kind.tag != "DW_TAG_array_type":
            break
        count, kind = count * _array_count(kind), _strip(referred(kind))
    else:
        raise CorruptState("an array in DWARF contains itself")
    if kind.tag in STRUCTS and not _is_complete(kind):
        raise Incomplete(printable(name(kind)))
    default = _POINTER_BYTES if kind.tag == "DW_TAG_pointer_type" else 0
    return count * _number(kind, "DW_AT_byte_size", default)


def _strip(die: Any) -> Any:
    """Return the type behind the typedefs and qualifiers of `die`; None for void."""
    for _ in range(_MAX_DEPTH):
        if die is None or die.tag not in _TRANSPARENT:
            return _defined(die)
        die = referred(die)
    raise CorruptState("a typedef in DWARF refers to itself")


def _defined(die: Any) -> Any:
    """Return the DIE in the type unit if `die` only refers to it by signature, else `die`."""
    if die is not None and die.tag in STRUCTS and "DW_AT_signature" in die.attributes:
        return referred(die, "DW_AT_signature")
    return die


def _is_complete(die: Any) -> bool:
    known = "DW_AT_byte_size" in die.attributes and "DW_AT_declaration" not in die.attributes
    return die.tag in STRUCTS and known


def _number(die: Any, attribute: str, default: int) -> int:
    """Return a constant attribute; `default` if it is missing or an expression."""
    found = die.attributes.get(attribute)
    return found.value if found is not None and isinstance(found.value, int) else default
