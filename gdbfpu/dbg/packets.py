# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets of the remote protocol that GDB itself does not send, and the registers in them.

GDB's run control notices nothing of these packets. Source: "Remote Protocol" in GDB's manual, and
the order of registers in gdb/features/i386/64bit-core.xml, which is KGDB's, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gdb

from gdbfpu.errors import GdbFpuError

__all__ = ("EFLAGS", "Wire")

EFLAGS = "eflags"
"""The flags (u32), which are written with a number of bytes of their own."""

_WHOLE = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp")
_NUMBERS = {name: i for i, name in enumerate((*_WHOLE, *(f"r{n}" for n in range(8, 16)), "rip"))}
_EFLAGS_AT = 8 * len(_NUMBERS)
_SIZES = {**dict.fromkeys(_NUMBERS, 8), EFLAGS: 4}  # in the order of their numbers
_WAIT = 30  # seconds that a reply may take; GDB asks for it again after that
_TIMEOUT = "remotetimeout"


class Wire:
    """GDB's connection to the stub. Raises GdbFpuError if a GDB before 12 cannot send packets."""

    def __init__(self) -> None:
        connection: Any = getattr(gdb.selected_inferior(), "connection", None)
        if not hasattr(connection, "send_packet"):
            raise GdbFpuError("this needs GDB 12 or newer, attached by `target remote`")
        self._connection = connection

    def send(self, packet: str) -> str:
        """Return the reply to `packet`; raise GdbFpuError."""
        try:
            return bytes(self._connection.send_packet(packet) or b"").decode("ascii", "replace")
        except gdb.error as error:
            raise GdbFpuError(f"no reply to the packet {packet!r}: {error}") from error

    def write(self, name: str, value: int) -> None:
        """Set register `name`; raise GdbFpuError. KGDB does not set rsp."""
        data = value.to_bytes(_SIZES[name], "little")
        self.expect_ok(f"P{list(_SIZES).index(name):x}={data.hex()}")

    def expect_ok(self, packet: str) -> None:
        """Send `packet`; raise GdbFpuError unless the reply is OK."""
        reply = self.send(packet)
        if reply != "OK":
            raise GdbFpuError(f"the stub answers the packet {packet!r} with {reply[:40]!r}")

    def registers(self) -> dict[str, int]:
        """Return the general registers of the thread that the stub has selected, as u64 by name.

        `eflags` is u32. Raises GdbFpuError.
        """
        reply = self.send("g")
        try:
            data = bytes.fromhex(reply)
        except ValueError:
            data = b""
        if len(data) < _EFLAGS_AT + 4:
            raise GdbFpuError(f"the stub shows no registers: it says {reply[:40]!r}")
        values = {n: int.from_bytes(data[8 * i : 8 * i + 8], "little") for n, i in _NUMBERS.items()}
        values[EFLAGS] = int.from_bytes(data[_EFLAGS_AT : _EFLAGS_AT + 4], "little")
        return values

    @contextmanager
    def patient(self) -> Iterator[None]:
        """Within it, GDB waits long enough for the reply to a step, and does not ask again."""
        before = gdb.parameter(_TIMEOUT)
        gdb.execute(f"set {_TIMEOUT} {max(before or 0, _WAIT):#x}", False, True)
        try:
            yield
        finally:
            gdb.execute(f"set {_TIMEOUT} {before or 0:#x}", False, True)
