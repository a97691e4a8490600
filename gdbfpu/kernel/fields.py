# SPDX-License-Identifier: GPL-2.0-or-later
"""Read members of a struct, several at once if they are close together."""

from __future__ import annotations

from collections.abc import Mapping

from gdbfpu.layouts.types import Member
from gdbfpu.ranges import joined
from gdbfpu.target import Memory

__all__ = ("read_fields",)


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
