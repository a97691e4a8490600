# SPDX-License-Identifier: GPL-2.0-or-later
"""Read members of a struct, several at once if they are close together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gdbfpu.layouts.types import Member
from gdbfpu.ranges import joined
from gdbfpu.target import Memory, Stub

__all__ = ("Fields", "read_fields", "with_free")


def read_fields(target: Memory, address: int, members: Mapping[str, Member]) -> dict[str, bytes]:
    """Return the bytes of each of `members` of the struct at `address`, under the same keys.

    Raises MemoryFault. See Fields.
    """
    return Fields(target.stub, members).read(target, address)


class Fields:
    """Reads `members` of a struct, for many structs of the same type.

    Members close to each other share a read, since each read costs a packet on the wire. The stub
    says how close they must be.
    """

    def __init__(self, stub: Stub, members: Mapping[str, Member]) -> None:
        ranges = {key: (m.offset, m.offset + m.size) for key, m in members.items()}
        self._reads = [
            (start, end - start, [
                (key, first - start, last - start)
                for key, (first, last) in ranges.items()
                if start <= first and last <= end
            ])
            for start, end in joined(ranges.values(), stub.read_gap, stub.read_run)
        ]  # fmt: skip

    def read(self, target: Memory, address: int) -> dict[str, bytes]:
        """Return the bytes of each member of the struct at `address`; raise MemoryFault."""
        fields: dict[str, bytes] = {}
        for start, size, places in self._reads:
            data = target.read_memory(address + start, size)
            for key, first, last in places:
                fields[key] = data[first:last]
        return fields


def with_free(
    stub: Stub, members: Mapping[str, Member], others: Mapping[str, Member]
) -> dict[str, Member]:
    """Return `members`, and those of `others` that `read_fields` reads along in as many reads.

    All are members of the same struct.
    """
    chosen = dict(members)
    for key, member in others.items():
        if _reads(stub, [*chosen.values(), member]) == _reads(stub, chosen.values()):
            chosen[key] = member
    return chosen


def _reads(stub: Stub, members: Iterable[Member]) -> int:
    ranges = ((m.offset, m.offset + m.size) for m in members)
    return sum(1 for _ in joined(ranges, stub.read_gap, stub.read_run))
