# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the layouts of kernel types from vmlinux's DWARF, without walking all of it.

`.debug_aranges` leads from the address of a function to the one compile unit that holds it,
and that unit describes every type the function's file includes. An executable's debugging
sections need no relocation, which is what makes the plain way take minutes.
"""

from __future__ import annotations

import inspect
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gdbfpu.errors import CorruptState, GdbFpuError, MissingType
from gdbfpu.layouts.elf import Elf, opened
from gdbfpu.layouts.types import Layouts, Member, StructLayout

__all__ = ("has_types", "read_layouts")

_STRUCTS = ("DW_TAG_structure_type", "DW_TAG_union_type")
_TRANSPARENT = (
    "DW_TAG_typedef",
    "DW_TAG_const_type",
    "DW_TAG_volatile_type",
    "DW_TAG_restrict_type",
    "DW_TAG_atomic_type",
)
_POINTER_BYTES = 8
_PLUS_UCONST = 0x23  # DW_OP_plus_uconst: how DWARF 2 says where a member is
_SET = struct.Struct("<IHIBB")  # a set of .debug_aranges: length, version, unit, sizes
_RANGE = struct.Struct("<QQ")  # address and bytes, from a multiple of their own size on
_SECTIONS = ("info", "abbrev", "str", "line_str", "str_offsets", "addr", "loclists", "rnglists")


def has_types(vmlinux: Path) -> bool:
    """Return whether the file `vmlinux` has DWARF, and `.debug_aranges` to find types in it."""
    with opened(vmlinux) as elf:
        return _has_dwarf(elf) and elf.section(".debug_aranges") is not None


def read_layouts(vmlinux: Path, wanted: Iterable[str], anchors: Iterable[int]) -> Layouts:
    """Return the layouts of the types `wanted` (tags, or names of typedefs of unnamed structs).

    `anchors` are addresses of functions whose source files include those types; their compile
    units are read in turn until nothing is missing. A type that none of them has is left out.
    Raises GdbFpuError when the file has no DWARF at all, MissingType when it has none of the
    types, CorruptState for damaged DWARF.
    """
    missing = set(wanted)
    found: dict[str, StructLayout] = {}
    with opened(vmlinux) as elf, _pyelftools_damage(vmlinux):
        if not _has_dwarf(elf):
            raise GdbFpuError(
                f"{vmlinux} has no DWARF: build the kernel with CONFIG_DEBUG_INFO "
                "or install its debug package, and give GDB that vmlinux"
            )
        for unit in _units(elf, anchors):
            found.update(_structs_of(unit, missing))
            missing -= set(found)
            if not missing:
                break
    if missing and not found:
        raise MissingType(min(missing))
    return Layouts(found.values())


def _has_dwarf(elf: Elf) -> bool:
    section = elf.section(".debug_info")
    return section is not None and section.present


@contextmanager
def _pyelftools_damage(vmlinux: Path) -> Iterator[None]:
    """What pyelftools finds damaged, or stumbles over, is CorruptState."""
    from elftools.common.exceptions import DWARFError, ELFError
    from elftools.construct import ConstructError

    stumbles = (AssertionError, AttributeError, RecursionError, TypeError)
    try:
        yield
    except (DWARFError, ELFError, ConstructError, *stumbles) as error:
        raise CorruptState(f"{vmlinux} is damaged: {error}") from error


def _units(elf: Elf, anchors: Iterable[int]) -> Iterator[Any]:
    """Yield the compile units that hold the functions at `anchors`, in that order."""
    ranges = elf.section(".debug_aranges")
    if ranges is None:
        raise CorruptState("vmlinux has DWARF but no .debug_aranges to find types with")
    units: dict[int, int] = {}
    addresses = tuple(anchors)
    for start, size, unit in _ranges(elf.contents(ranges)):
        for address in addresses:
            if start <= address < start + size:
                units[address] = unit
    dwarf = _dwarf_info(elf)
    for unit in dict.fromkeys(units[address] for address in addresses if address in units):
        yield dwarf.get_CU_at(unit)


def _ranges(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield address, bytes and compile unit of what `.debug_aranges` has (DWARF 5, 6.1.2).

    Sets whose addresses have not 8 bytes are none of the kernel's own.
    """
    at = 0
    while at + _SET.size <= len(data):
        length, _version, unit, address_size, segment_size = _SET.unpack_from(data, at)
        first, at = at + _RANGE.size, at + 4 + length  # the header is padded to a range's size
        if at > len(data):
            raise CorruptState("vmlinux has a .debug_aranges that is cut off or of 64-bit DWARF")
        if (address_size, segment_size) == (8, 0):
            for start, size in _RANGE.iter_unpack(data[first:at]):
                yield start, size, unit


def _dwarf_info(elf: Elf) -> Any:
    """Return pyelftools' idea of the DWARF, over sections that are mapped and not relocated.

    Its own way, through ELFFile, copies each section.
    """
    from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo

    given: dict[str, Any] = dict.fromkeys(inspect.signature(DWARFInfo).parameters)
    for name in _SECTIONS:
        section = elf.section(f".debug_{name}")
        if section is not None:
            given[f"debug_{name}_sec"] = DebugSectionDescriptor(
                elf.stream(section), section.name, section.offset, section.size, section.start
            )
    given["config"] = DwarfConfig(True, "x64", 8)
    return DWARFInfo(**given)


def _structs_of(unit: Any, wanted: set[str]) -> dict[str, StructLayout]:
    found = {}
    for die in unit.get_top_DIE().iter_children():
        name = _name(die)
        if name not in wanted or name in found:
            continue
        struct = _strip(die) if die.tag == "DW_TAG_typedef" else die
        if (
            struct is None
            or struct.tag not in _STRUCTS
            or "DW_AT_byte_size" not in struct.attributes
        ):
            continue
        if die is struct or not _name(struct):
            size = struct.attributes["DW_AT_byte_size"].value
            found[name] = StructLayout(name, size, tuple(_members(struct, 0)))
    return found


def _members(struct: Any, base: int) -> Iterator[Member]:
    for die in struct.iter_children():
        if die.tag != "DW_TAG_member":
            continue
        kind = _strip(die.get_DIE_from_attribute("DW_AT_type"))
        offset = base + _location(die)
        if not _name(die):
            if kind is not None and kind.tag in _STRUCTS:
                yield from _members(kind, offset)
            continue
        yield _member(die, kind, offset)


def _location(member: Any) -> int:
    """Return the offset of a member: a number, or in DWARF 2 an expression that adds one."""
    if "DW_AT_data_member_location" not in member.attributes:
        return 0
    value = member.attributes["DW_AT_data_member_location"].value
    if isinstance(value, int):
        return value
    if not value or value[0] != _PLUS_UCONST:
        raise CorruptState(f"member {_name(member)!r} is at no fixed offset")
    return sum((byte & 0x7F) << 7 * i for i, byte in enumerate(value[1:]))  # ULEB128


def _member(die: Any, kind: Any, offset: int) -> Member:
    bit_size = _value(die, "DW_AT_bit_size", None)
    bit_offset = None
    if bit_size is not None:
        bits = _value(die, "DW_AT_data_bit_offset", None)
        if bits is None:  # DWARF 2 and 3 count from the most significant bit of the storage unit
            unit = _value(die, "DW_AT_byte_size", _size(kind)) * 8
            bits = unit - _value(die, "DW_AT_bit_offset", 0) - bit_size
        offset, bit_offset = offset + bits // 8, bits % 8
    element, count = _element(kind)
    pointer = element is not None and element.tag == "DW_TAG_pointer_type"
    tagged = _follow(element) if pointer else element
    name = _name(tagged) if tagged is not None and tagged.tag in _STRUCTS else ""
    return Member(_name(die), offset, _size(kind), name, pointer, count, bit_offset, bit_size)


def _element(kind: Any) -> tuple[Any, int | None]:
    if kind is None or kind.tag != "DW_TAG_array_type":
        return kind, None
    return _follow(kind), _array_count(kind)


def _array_count(array: Any) -> int:
    count = 1
    for bound in array.iter_children():
        if "DW_AT_count" in bound.attributes:
            count *= _value(bound, "DW_AT_count", 0)
        else:
            count *= _value(bound, "DW_AT_upper_bound", -1) + 1
    return count


def _size(kind: Any) -> int:
    if kind is None:
        return 0
    if kind.tag == "DW_TAG_array_type":
        return _array_count(kind) * _size(_follow(kind))
    default = _POINTER_BYTES if kind.tag == "DW_TAG_pointer_type" else 0
    return int(_value(kind, "DW_AT_byte_size", default))


def _follow(die: Any) -> Any:
    """Return the type that `die` refers to, typedefs and qualifiers stripped; None for void."""
    if "DW_AT_type" not in die.attributes:
        return None
    return _strip(die.get_DIE_from_attribute("DW_AT_type"))


def _strip(die: Any) -> Any:
    while die is not None and die.tag in _TRANSPARENT:
        if "DW_AT_type" not in die.attributes:
            return None
        die = die.get_DIE_from_attribute("DW_AT_type")
    return die


def _name(die: Any) -> str:
    if die is None or "DW_AT_name" not in die.attributes:
        return ""
    return str(die.attributes["DW_AT_name"].value.decode("utf-8", "replace"))


def _value(die: Any, attribute: str, default: Any) -> Any:
    if attribute not in die.attributes:
        return default
    value = die.attributes[attribute].value
    return value if isinstance(value, int) else default
