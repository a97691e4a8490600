# SPDX-License-Identifier: GPL-2.0-or-later
"""Read members of a struct, several at once if they are close together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gdbfpu.layouts.types import Member
from gdbfpu.ranges import joined
from gdbfpu.target import Memory, Stub

__all__ = ("read_fields", "with_free")


def read_fields(target: Memory, address: int, members: Mapping[str, Member]) -> dict[str, bytes]:
    """Return the bytes of each of `members` of the struct at `address`, under the same keys.

    Members close to each other share a read, since each read costs a packet on the wire. The stub
    says how close they must be. Raises MemoryFault.
    """
    stub = target.stub
    ranges = {key: (m.offset, m.offset + m.size) for key, m in members.items()}
    fields: dict[str, bytes] = {}
    for start, end in joined(ranges.values(), stub.read_gap, stub.read_run):
        data = target.read_memory(address + start, end - start)
        for key, (first, last) in ranges.items():
            if start <= first and last <= end:
                fields[key] = data[first - start : last - start]
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
