# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the members of a kernel's types are: offsets and sizes as the compiler laid them out.

Nothing in gdbfpu knows an offset by heart; each comes from one of these objects, which are
made from DWARF (`gdbfpu.layouts.dwarf`) or read back from JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gdbfpu.errors import CorruptState, MissingMember, MissingType

__all__ = ("Layouts", "Member", "StructLayout", "check_struct")

_MOST_BYTES = 1 << 31  # of a type; far more than any
_LONGEST_NAME = 256


@dataclass(frozen=True)
class Member:
    """A member of a struct or union.

    `offset` and `size` are bytes, the offset from the start of the outermost type asked for;
    `type` is the tag of the struct or union it is or points to (empty for scalars);
    `pointer` tells the two apart; `count` is the number of elements of an array, else None;
    `bit_size` and `bit_offset` (bits from the start of the byte at `offset`) are None
    except for a bit-field.
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

    Members of anonymous structs and unions stand among the members, at their own offsets.
    """

    name: str
    size: int
    members: tuple[Member, ...]

    def get(self, name: str) -> Member | None:
        """Return the member called `name`, or None."""
        return next((member for member in self.members if member.name == name), None)


class Layouts:
    """The types of one kernel, by tag.

    `source` says where they come from, `note` why not from a better source, empty where there is
    none; `files` are those that were read besides the kernel's own.
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
        """Return the source, and the note behind it."""
        return f"{self.source} ({self.note})" if self.note else self.source

    def __contains__(self, name: str) -> bool:
        return name in self._structs

    def names(self) -> tuple[str, ...]:
        """Return the tags of all types, sorted."""
        return tuple(sorted(self._structs))

    def struct(self, name: str) -> StructLayout:
        """Return the layout of type `name`; raise MissingType."""
        if name not in self._structs:
            raise MissingType(name)
        return self._structs[name]

    def find(self, name: str, path: str) -> Member | None:
        """Return the member at dotted `path` of type `name`, or None where it is missing."""
        try:
            return self.member(name, path)
        except (MissingType, MissingMember):
            return None

    def member(self, name: str, path: str) -> Member:
        """Return the member at dotted `path` (`thread.fpu.state`) of type `name`.

        Its offset is counted in bytes from the start of `name`. A path goes through embedded
        structs, not through pointers. Raises MissingType and MissingMember.
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
        """Return the layouts as what `json.dumps` takes."""
        structs = [
            {"name": s.name, "size": s.size, "members": [vars(m).copy() for m in s.members]}
            for s in self._structs.values()
        ]
        return {"source": self.source, "note": self.note, "structs": structs}

    @classmethod
    def from_json(cls, data: Any) -> Layouts:
        """Return the layouts that `to_json` made; raise CorruptState for anything else.

        Every value has its type, names are fit for a terminal, members lie within their types.
        """
        source, note, found = _values(data, {"source": str, "note": str, "structs": list})
        structs = tuple(map(_struct, found))
        if len({struct.name for struct in structs}) != len(structs):
            raise _damaged("several types have one name")
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
    """Return `struct` if it can be: sizes, names fit for a terminal, members within it.

    Raises CorruptState.
    """
    _check(struct.name, struct.size)
    for member in struct.members:
        _check_member(member, struct.size)
    return struct


def _check_member(member: Member, end: int) -> None:
    """Raise CorruptState unless `member` can be one of a type of `end` bytes."""
    _check(member.name, member.offset, member.type, member.size, member.count or 0)
    bits, width = member.bit_offset, member.bit_size
    if (bits is None) != (width is None) or not 0 <= (bits or 0) < 8 or (width or 0) < 0:
        raise CorruptState(f"{member.name!r} is no bit-field")
    if member.offset + (member.size if width is None else -(-((bits or 0) + width) // 8)) > end:
        raise CorruptState(f"member {member.name!r} is outside of its type")


def _check(*values: int | str) -> None:
    for value in values:
        if isinstance(value, int) and not 0 <= value <= _MOST_BYTES:
            raise CorruptState(f"a type has a number that cannot be: {value}")
        if isinstance(value, str) and not (value.isprintable() and len(value) <= _LONGEST_NAME):
            raise CorruptState(f"a type has a name that cannot be: {value!r:.99}")


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
    """Return the values of `data`, a dict with the keys and the types of `kinds`, in that order."""
    if not isinstance(data, dict) or data.keys() != kinds.keys():
        raise _damaged(f"something has not the keys {', '.join(kinds)}")
    for key, kind in kinds.items():
        value = data[key]
        wrong = isinstance(value, bool) and kind is not bool
        if wrong or not isinstance(value, kind):
            raise _damaged(f"{key} is a {type(value).__name__}")
    return [data[key] for key in kinds]


def _damaged(what: str) -> CorruptState:
    return CorruptState(f"this is no set of layouts written by gdbfpu: {what}")
