# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the members of a struct, as many of them at once as the wire takes."""

from __future__ import annotations

from collections.abc import Mapping

from gdbfpu.layouts.types import Member
from gdbfpu.ranges import joined
from gdbfpu.target import Target

__all__ = ("MAX_READ", "read_fields")

MAX_READ = 510
"""The most bytes one read may ask of a KGDB stub.

The stub's reply buffer is 1,024 bytes and it does not check the length: more than 511 bytes
overwrite kernel memory (kernel/debug/gdbstub.c, gdb_cmd_memread).
"""


_GAP = 24  # bytes: over a serial line, reading this much too much costs about another packet


_FAST_GAP, _FAST_READ = 1024, 2000  # bytes: QEMU's gdbstub sends up to 2,046 in one packet


def read_fields(target: Target, address: int, members: Mapping[str, Member]) -> dict[str, bytes]:
    """Return the bytes of each of `members` of the struct at `address`, by the same keys.

    Members that lie near each other share one read, since each read is a packet on the wire;
    what is near depends on the wire.
    Raises MemoryFault.
    """
    near = (_GAP, MAX_READ) if target.stub == "kgdb" else (_FAST_GAP, _FAST_READ)
    ranges = {key: (m.offset, m.offset + m.size) for key, m in members.items()}
    fields: dict[str, bytes] = {}
    for start, end in joined(ranges.values(), *near):
        data = target.read_memory(address + start, end - start)
        for key, (first, last) in ranges.items():
            if start <= first and last <= end:
                fields[key] = data[first - start : last - start]
    return fields
