# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the layouts of kernel types from BTF, the compact type information a kernel can carry.

BTF is the section `.BTF` of vmlinux (CONFIG_DEBUG_INFO_BTF). The running kernel keeps it in memory,
and `strip` does not remove it. The types follow one another, and the kind of each tells its
length. So one walk finds where each type starts; only wanted types are decoded. Source: the
kernel's Documentation/bpf/btf.rst and include/uapi/linux/btf.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gdbfpu.errors import CorruptState, MissingType
from gdbfpu.layouts.types import Layouts, Member, StructLayout, check_struct
from gdbfpu.text.printable import printable

__all__ = ("HEADER_SIZE", "MAX_SIZE", "check_header", "read_layouts")

HEADER_SIZE = 24
"""The bytes of struct btf_header that every kernel has. Newer kernels append members."""

MAX_SIZE = 64 << 20
"""The largest size of BTF to accept (kernels of distributions have 4 to 10 MiB)."""

_MAGIC, _VERSION = 0xEB9F, 1
_INT, _PTR, _ARRAY, _STRUCT, _UNION, _ENUM, _FWD, _TYPEDEF = range(1, 9)
_VOLATILE, _CONST, _RESTRICT, _FUNC, _FUNC_PROTO, _VAR, _DATASEC = range(9, 16)
_FLOAT, _DECL_TAG, _TYPE_TAG, _ENUM64 = range(16, 20)
_ONCE = {_INT: 4, _ARRAY: 12, _VAR: 4, _DECL_TAG: 4}
_EACH = {_STRUCT: 12, _UNION: 12, _ENUM: 8, _FUNC_PROTO: 8, _DATASEC: 12, _ENUM64: 12}
_TRAILING = {  # bytes after struct btf_type by kind: once, and for each of vlen
    kind: (_ONCE.get(kind, 0), _EACH.get(kind, 0)) for kind in range(_INT, _ENUM64 + 1)
}
_STRUCTS = (_STRUCT, _UNION)
_TAGGED = (*_STRUCTS, _FWD)
_TRANSPARENT = (_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _TYPE_TAG)
_SIZED = (_INT, _PTR, _STRUCT, _UNION, _ENUM, _FLOAT, _ENUM64)
_POINTER_BYTES = 8
_MAX_DEPTH = 64  # of chained typedefs, arrays of arrays, nested anonymous structs
_MAX_MEMBERS = 1 << 16  # of all wanted types, with anonymous members and duplicates
_MAX_TYPES = 1 << 20  # kernels of distributions have some 150,000

_HEADER = struct.Struct("<HBBIIIII")
_TYPE = struct.Struct("<III")  # name_off, info, size or type; also btf_array and btf_member


def check_header(data: bytes, available: int) -> tuple[slice, slice]:
    """Return where the types and the strings are in the BTF that starts with `data`.

    `data` has at least HEADER_SIZE bytes. `available` is the size of the whole BTF in bytes.
    Raises CorruptState.
    """
    if len(data) < HEADER_SIZE or not HEADER_SIZE <= available <= MAX_SIZE:
        raise _damaged(f"it is {available} bytes long")
    magic, version, flags, size, types, types_size, names, names_size = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise CorruptState(f"this is not little-endian BTF: it starts with {magic:#06x}")
    if version != _VERSION or flags:
        raise CorruptState(f"gdbfpu does not know BTF version {version} with flags {flags:#x}")
    types, names = types + size, names + size
    if size < HEADER_SIZE or max(size, types + types_size, names + names_size) > available:
        raise _damaged("its header points outside it")
    return slice(types, types + types_size), slice(names, names + names_size)


def read_layouts(data: bytes, wanted: Iterable[str]) -> Layouts:
    """Return the layouts of the types `wanted` (tags, or names of typedefs of unnamed structs).

    `data` is a whole BTF. Types that it does not have are left out. Raises MissingType if it has
    none of them. Raises CorruptState if the BTF is damaged, has an unknown kind of type, or has
    several different types with one wanted name.
    """
    missing = set(wanted)
    types = _Types(data)
    found: dict[str, StructLayout] = {}
    for name, ident in types.named(missing):
        layout = types.layout(name, ident)
        if found.setdefault(name, layout) != layout:
            raise CorruptState(f"BTF has several types called {name!r}: use a vmlinux with DWARF")
    if missing and not found:
        raise MissingType(min(missing))
    return Layouts(found.values(), "BTF")


class _Type(NamedTuple):
    """A struct btf_type. `value` is its size in bytes or the id of another type."""

    kind: int
    flag: bool
    vlen: int
    name: int
    value: int
    body: int


class _Types:
    """The types of one BTF by id. Id 0 is void."""

    def __init__(self, data: bytes) -> None:
        types, names = check_header(data, len(data))
        self._types, self._names = data[types], data[names]
        self._starts = [0, *_starts(self._types)]  # id 0 (void) has no entry
        self._budget = _MAX_MEMBERS
        if self._names[:1] != b"\0":
            raise _damaged("its strings do not start with the empty string")

    def named(self, wanted: set[str]) -> Iterator[tuple[str, int]]:
        """Yield name and id of each wanted struct or union, or typedef of an unnamed one."""
        encoded = {name.encode(): name for name in wanted}
        for ident, start in enumerate(self._starts[1:], 1):
            if self._types[start + 7] & 0x7F not in (_STRUCT, _UNION, _TYPEDEF):
                continue
            name = encoded.get(self._raw_name(_TYPE.unpack_from(self._types, start)[0]))
            if name is not None and self._is_layout_of(ident):
                yield name, ident

    def _is_layout_of(self, ident: int) -> bool:
        own, struct_ = self._get(ident), self._strip(ident)
        if own.kind in _STRUCTS:
            return True
        return struct_ is not None and struct_.kind in _STRUCTS and not self._text(struct_.name)

    def layout(self, name: str, ident: int) -> StructLayout:
        """Return the layout of the struct or union with id `ident`, called `name`."""
        struct_ = self._strip(ident)
        if struct_ is None:
            raise _damaged(f"{name!r} is void")
        self._budget -= 1
        members = tuple(self._members(struct_, 0, _MAX_DEPTH))
        return check_struct(StructLayout(name, struct_.value, members))

    def _members(self, struct_: _Type, base: int, depth: int) -> Iterator[Member]:
        """Yield the members of `struct_`, which is `base` bytes into the outermost type."""
        self._budget -= struct_.vlen
        if not depth or self._budget < 0:
            raise _damaged("a struct contains itself, or too many members")
        for at in range(struct_.body, struct_.body + 12 * struct_.vlen, 12):
            name, ident, place = _TYPE.unpack_from(self._types, at)
            width, bits = (place >> 24, place & 0xFFFFFF) if struct_.flag else (0, place)
            kind, offset = self._strip(ident), base + bits // 8
            if self._text(name):
                member = self._member(self._text(name), ident, offset, (bits % 8, width))
                _check_place(member, base + struct_.value)
                yield member
            elif kind is not None and kind.kind in _STRUCTS:
                yield from self._members(kind, offset, depth - 1)

    def _member(self, name: str, ident: int, offset: int, bits: tuple[int, int]) -> Member:
        if bits[0] and not bits[1]:
            raise _damaged(f"member {name!r} does not start at a whole byte")
        kind, count = self._element(ident)
        pointer = kind is not None and kind.kind == _PTR
        tagged = self._strip(kind.value) if kind is not None and pointer else kind
        tag = self._text(tagged.name) if tagged is not None and tagged.kind in _TAGGED else ""
        bit_offset, bit_size = bits if bits[1] else (None, None)
        return Member(name, offset, self._size(ident), tag, pointer, count, bit_offset, bit_size)

    def _element(self, ident: int) -> tuple[_Type | None, int | None]:
        """Return the type and the number of an array's elements; else the type itself and None.

        In BTF, an array with several dimensions is an array of arrays. All of these count as one
        array, except arrays behind a typedef.
        """
        kind, count = self._strip(ident), 1
        if kind is None or kind.kind != _ARRAY:
            return kind, None
        for _ in range(_MAX_DEPTH):
            element, _index, length = _TYPE.unpack_from(self._types, kind.body)
            count *= length
            inner = self._get(element) if element else None
            if inner is None or inner.kind != _ARRAY:
                return self._strip(element), count
            kind = inner
        raise _damaged("an array contains itself")

    def _size(self, ident: int) -> int:
        """Return the size in bytes of a type; 0 for void, functions and declarations."""
        count = 1
        for _ in range(_MAX_DEPTH):
            kind = self._strip(ident)
            if kind is None or kind.kind != _ARRAY:
                return count * _own_size(kind)
            ident, _index, length = _TYPE.unpack_from(self._types, kind.body)
            count *= length
        raise _damaged("an array contains itself")

    def _strip(self, ident: int) -> _Type | None:
        """Return the type behind typedefs, qualifiers and tags of `ident`; None for void."""
        for _ in range(_MAX_DEPTH):
            if not ident:
                return None
            kind = self._get(ident)
            if kind.kind not in _TRANSPARENT:
                return kind
            ident = kind.value
        raise _damaged("a typedef refers to itself")

    def _get(self, ident: int) -> _Type:
        if not 0 < ident < len(self._starts):
            raise _damaged(f"it has no type {ident}")
        start = self._starts[ident]
        name, info, value = _TYPE.unpack_from(self._types, start)
        kind, vlen = info >> 24 & 0x7F, info & 0xFFFFFF
        return _Type(kind, bool(info >> 31), vlen, name, value, start + _TYPE.size)

    def _text(self, offset: int) -> str:
        return printable(self._raw_name(offset))

    def _raw_name(self, offset: int) -> bytes:
        end = self._names.find(b"\0", offset)
        if end < 0:
            raise _damaged(f"it has no name at {offset}")
        return self._names[offset:end]


def _starts(types: bytes) -> Iterator[int]:
    """Yield where each type starts; `info` is vlen (24 bits), kind (7 bits), kind_flag."""
    at, end, unpack, count = 0, len(types), _TYPE.unpack_from, 0
    while at + _TYPE.size <= end:
        info = unpack(types, at)[1]
        trailing = _TRAILING.get(info >> 24 & 0x7F)
        if trailing is None:
            raise CorruptState(f"gdbfpu does not know types of kind {info >> 24 & 0x7F} in BTF")
        count += 1
        if count > _MAX_TYPES:
            raise _damaged(f"it has more than {_MAX_TYPES} types")
        yield at
        at += _TYPE.size + trailing[0] + trailing[1] * (info & 0xFFFFFF)
    if at != end:
        raise _damaged("its last type is cut off")


def _own_size(kind: _Type | None) -> int:
    if kind is None or kind.kind not in _SIZED:
        return 0
    return _POINTER_BYTES if kind.kind == _PTR else kind.value


def _check_place(member: Member, end: int) -> None:
    """Raise CorruptState if a member reaches beyond `end`, the last byte of its struct plus 1."""
    last = member.offset + member.size
    if member.bit_size is not None and member.bit_offset is not None:
        last = member.offset + (member.bit_offset + member.bit_size + 7) // 8
    if last > end:
        raise _damaged(f"member {member.name!r} is outside its struct")


def _damaged(what: str) -> CorruptState:
    return CorruptState(f"the BTF is damaged: {what}")
