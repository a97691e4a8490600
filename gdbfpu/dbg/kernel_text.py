# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the kernel's text, read-only as it may be, while all CPUs are held."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import gdb

from gdbfpu.dbg.language import evaluate
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.errors import GdbFpuError, MemoryFault
from gdbfpu.probes.window import JUMP

__all__ = ("Change", "Rows", "check_writable", "kgdb_rows", "write_text")


class Change(NamedTuple):
    """The bytes to write at `address`. Only the first ones differ from memory: those of a jump."""

    address: int
    data: bytes


class Rows(NamedTuple):
    """KGDB's list of breakpoints, kgdb_break: its address, and the values and places in a row.

    There are `rows`, of `size` bytes each.
    """

    address: int
    rows: int
    size: int
    place: int
    saved: int
    type: int
    state: int
    poke: bytes
    active: bytes
    removed: bytes

    def row(self, byte: tuple[int, int]) -> bytes:
        """Return the row of a breakpoint at an address that stands for a byte there."""
        address, value = byte
        row = bytearray(self.size)
        for place, data in (
            (self.place, address.to_bytes(8, "little")),
            (self.saved, bytes((value,))),
            (self.type, self.poke),
            (self.state, self.active),
        ):
            row[place : place + len(data)] = data
        return bytes(row)


def write_text(target: GdbTarget, changes: Sequence[Change]) -> None:
    """Write all `changes`, and read them back; raise GdbFpuError if memory does not have them.

    No CPU may be about to report a breakpoint: KGDB forgets all breakpoints that it has removed.
    """
    left = [one for one in changes if not _written(target, one)]
    if left and target.stub.in_kernel:
        _have_kgdb_write(target, left)
    wrong = [one for one in changes if target.read_memory(one.address, len(one.data)) != one.data]
    if wrong:
        raise GdbFpuError(f"the kernel's text at {wrong[0].address:#x} cannot be written")


def check_writable(target: GdbTarget) -> None:
    """Raise GdbFpuError if KGDB's own way to write read-only text cannot be used.

    Only a kernel whose text is read-only needs it, which shows when we write.
    """
    if target.stub.in_kernel:
        kgdb_rows()


def _written(target: GdbTarget, change: Change) -> bool:
    """Try to write `change` as data; return whether memory has it then."""
    with suppress(MemoryFault):
        target.write_memory(change.address, change.data)
    return target.read_memory(change.address, len(change.data)) == change.data


def _have_kgdb_write(target: GdbTarget, changes: Sequence[Change]) -> None:
    """Have KGDB write `changes`, as the bytes that breakpoints stood for.

    KGDB writes to read-only text when it removes a breakpoint (text_poke_kgdb(), since 5.2). The
    packet `?` makes it remove all breakpoints that its list has as active.
    """
    rows = kgdb_rows()
    for change in changes:
        # One packet each, so that KGDB never has half of a change when this debugger dies.
        target.write_memory(rows.address, b"".join(map(rows.row, _bytes_of(change))))
        gdb.execute("maintenance packet ?", False, True)


def _bytes_of(change: Change) -> list[tuple[int, int]]:
    """Return each byte of the jump or of what it replaces, with its address."""
    return [(change.address + at, byte) for at, byte in enumerate(change.data[:JUMP])]


def kgdb_rows() -> Rows:
    """Return where KGDB's list of breakpoints is; raise GdbFpuError if GDB does not know it."""
    try:
        row = evaluate("&::kgdb_break[0]")
        fields = {field.name: field.bitpos // 8 for field in row.dereference().type.fields()}
        poke, active, removed = (
            int(evaluate(name)).to_bytes(4, "little")
            for name in ("BP_POKE_BREAKPOINT", "BP_ACTIVE", "BP_REMOVED")
        )
        size = int(evaluate("sizeof(::kgdb_break[0])"))
        return Rows(
            address=int(row) & (1 << 64) - 1,
            rows=int(evaluate("sizeof(::kgdb_break)")) // size,
            size=size,
            place=fields["bpt_addr"],
            saved=fields["saved_instr"],
            type=fields["type"],
            state=fields["state"],
            poke=poke,
            active=active,
            removed=removed,
        )
    except (gdb.error, KeyError) as error:
        raise GdbFpuError("the debugging information does not describe kgdb_break") from error
