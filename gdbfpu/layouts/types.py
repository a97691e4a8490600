# SPDX-License-Identifier: GPL-2.0-or-later
"""Layouts of a kernel's types: the offsets and sizes of members, as the compiler chose them.

gdbfpu has no fixed offsets. Each one comes from these objects, which are made from DWARF
(`gdbfpu.layouts.search`) or BTF (`gdbfpu.layouts.btf`), or read back from JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gdbfpu.errors import CorruptState, MissingMember, MissingType

__all__ = ("Layouts", "Member", "StructLayout", "check_struct")

_MOST_BYTES = 1 << 31  # of a type; far more than any type has
_LONGEST_NAME = 256


@dataclass(frozen=True)
class Member:
    """A member of a struct or union.

    - `offset`, `size`: bytes; the offset counts from the start of the outermost type.
    - `type`: the tag of the struct or union that the member is or points to; empty for scalars.
    - `pointer`: whether the member is a pointer.
    - `count`: the number of elements of an array, else None.
    - `bit_offset`, `bit_size`: for a bit-field only, else None; the offset counts bits from the
      start of the byte at `offset`.
    """

    name: str
    offset: int
    size: int
    type: str = ""
    pointer: bool = False
    count: int | None = None
    bit_offset: int | None = None
    bit_size: int | None = None


@dataclass(frozen=True)
class StructLayout:
    """One struct or union: its tag, its size in bytes, its members in order.

    Members of anonymous structs and unions are included, with offsets from the outermost type.
    """

    name: str
    size: int
    members: tuple[Member, ...]

    def get(self, name: str) -> Member | None:
        """Return the member called `name`, or None."""
        return next((member for member in self.members if member.name == name), None)


class Layouts:
    """The types of one kernel, by tag.

    `source` says where the layouts come from. `note` says why a better source was not used; it may
    be empty. `files` are the files that were read, other than the kernel's own.
    """

    def __init__(
        self, structs: Iterable[StructLayout], source: str = "DWARF", note: str = ""
    ) -> None:
        in_order = sorted(structs, key=lambda struct: struct.name)
        self._structs: Mapping[str, StructLayout] = {struct.name: struct for struct in in_order}
        self.source = source
        self.note = note
        self.files: tuple[Path, ...] = ()

    @property
    def origin(self) -> str:
        """Return the source, followed by the note, if any."""
        return f"{self.source} ({self.note})" if self.note else self.source

    def __contains__(self, name: str) -> bool:
        return name in self._structs

    def names(self) -> tuple[str, ...]:
        """Return the tags of all types, sorted."""
        return tuple(sorted(self._structs))

    def struct(self, name: str) -> StructLayout:
        """Return the layout of type `name`; raise MissingType if there is none."""
        if name not in self._structs:
            raise MissingType(name)
        return self._structs[name]

    def find(self, name: str, path: str) -> Member | None:
        """Return the member at dotted `path` of type `name`, None if it is missing."""
        try:
            return self.member(name, path)
        except (MissingType, MissingMember):
            return None

    def member(self, name: str, path: str) -> Member:
        """Return the member at dotted `path` (`thread.fpu.state`) of type `name`.

        Its offset counts bytes from the start of `name`. A path goes through embedded structs, not
        through pointers. Raises MissingType and MissingMember.
        """
        base, struct, member = 0, name, None
        for part in path.split("."):
            if member is not None and (member.pointer or not member.type):
                raise MissingMember(name, path)
            member = self.struct(struct).get(part)
            if member is None:
                raise MissingMember(struct, part)
            base, struct = base + member.offset, member.type
        if member is None:
            raise MissingMember(name, path)
        return replace(member, offset=base)

    def offset(self, name: str, path: str) -> int:
        """Return the offset in bytes of dotted `path` in type `name`."""
        return self.member(name, path).offset

    def to_json(self) -> dict[str, Any]:
        """Return the layouts as an object for `json.dumps`."""
        structs = [
            {"name": s.name, "size": s.size, "members": [vars(m).copy() for m in s.members]}
            for s in self._structs.values()
        ]
        return {"source": self.source, "note": self.note, "structs": structs}

    @classmethod
    def from_json(cls, data: Any) -> Layouts:
        """Return the layouts that `to_json` made; raise CorruptState for anything else.

        All values have the right types, names are fit for a terminal, members are inside their
        types.
        """
        source, note, found = _values(data, {"source": str, "note": str, "structs": list})
        structs = tuple(map(_struct, found))
        if len({struct.name for struct in structs}) != len(structs):
            raise _damaged("several types have the same name")
        if not (source + note).isprintable():
            raise _damaged("its source is not fit for a terminal")
        return cls(structs, source, note)


def _struct(data: Any) -> StructLayout:
    name, size, members = _values(data, {"name": str, "size": int, "members": list})
    try:
        return check_struct(StructLayout(name, size, tuple(map(_member, members))))
    except CorruptState as error:
        raise _damaged(str(error)) from error


def check_struct(struct: StructLayout) -> StructLayout:
    """Return `struct` if its sizes are plausible, its names printable, and its members inside it.

    Raises CorruptState otherwise.
    """
    _check(struct.name, struct.size)
    for member in struct.members:
        _check_member(member, struct.size)
    return struct


def _check_member(member: Member, end: int) -> None:
    """Raise CorruptState unless `member` fits in a type of `end` bytes."""
    _check(member.name, member.offset, member.type, member.size, member.count or 0)
    bits, width = member.bit_offset, member.bit_size
    if (bits is None) != (width is None) or not 0 <= (bits or 0) < 8 or (width or 0) < 0:
        raise CorruptState(f"{member.name!r} is not a valid bit-field")
    if member.offset + (member.size if width is None else -(-((bits or 0) + width) // 8)) > end:
        raise CorruptState(f"member {member.name!r} is outside its type")


def _check(*values: int | str) -> None:
    for value in values:
        if isinstance(value, int) and not 0 <= value <= _MOST_BYTES:
            raise CorruptState(f"a type has an impossible number: {value}")
        if isinstance(value, str) and not (value.isprintable() and len(value) <= _LONGEST_NAME):
            raise CorruptState(f"a type has an impossible name: {value!r:.99}")


_NUMBER = (int, type(None))
_MEMBER = {
    "name": str,
    "offset": int,
    "size": int,
    "type": str,
    "pointer": bool,
    "count": _NUMBER,
    "bit_offset": _NUMBER,
    "bit_size": _NUMBER,
}


def _member(data: Any) -> Member:
    return Member(*_values(data, _MEMBER))


def _values(data: Any, kinds: Mapping[str, Any]) -> list[Any]:
    """Return the values of the dict `data` in the order of `kinds`; check keys and types."""
    if not isinstance(data, dict) or data.keys() != kinds.keys():
        raise _damaged(f"an object has keys other than {', '.join(kinds)}")
    for key, kind in kinds.items():
        value = data[key]
        wrong = isinstance(value, bool) and kind is not bool
        if wrong or not isinstance(value, kind):
            raise _damaged(f"{key} is a {type(value).__name__}")
    return [data[key] for key in kinds]


def _damaged(what: str) -> CorruptState:
    return CorruptState(f"these are not layouts written by gdbfpu: {what}")
