# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the members of a kernel's types are: offsets and sizes as the compiler laid them out.

Nothing in gdbfpu knows an offset by heart; each comes from one of these objects, which are
made from DWARF (`gdbfpu.dwarf`) or read back from JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gdbfpu.errors import CorruptState, MissingMember, MissingType

__all__ = ("Layouts", "Member", "StructLayout")


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
    """The types of one kernel, by tag."""

    def __init__(self, structs: Iterable[StructLayout], source: str = "DWARF") -> None:
        self._structs: Mapping[str, StructLayout] = {struct.name: struct for struct in structs}
        self.source = source

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
        return Member(**{**asdict(member), "offset": base})

    def offset(self, name: str, path: str) -> int:
        """Return the offset in bytes of dotted `path` in type `name`."""
        return self.member(name, path).offset

    def to_json(self) -> dict[str, Any]:
        """Return the layouts as what `json.dumps` takes."""
        return {"source": self.source, "structs": [asdict(s) for s in self._structs.values()]}

    @classmethod
    def from_json(cls, data: Any) -> Layouts:
        """Return the layouts that `to_json` made; raise CorruptState for anything else."""
        try:
            structs = [
                StructLayout(s["name"], s["size"], tuple(Member(**m) for m in s["members"]))
                for s in data["structs"]
            ]
            return cls(structs, data["source"])
        except (KeyError, TypeError) as error:
            raise CorruptState("this is no set of layouts written by gdbfpu") from error
