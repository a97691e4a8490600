# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the members of a struct, as many of them at once as the stub takes."""

from __future__ import annotations

from collections.abc import Mapping

from gdbfpu.layouts.types import Member
from gdbfpu.ranges import joined
from gdbfpu.target import Memory

__all__ = ("read_fields",)


def read_fields(target: Memory, address: int, members: Mapping[str, Member]) -> dict[str, bytes]:
    """Return the bytes of each of `members` of the struct at `address`, by the same keys.

    Members that lie near each other share one read, since each read is a packet on the wire;
    what is near depends on the stub.
    Raises MemoryFault.
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
