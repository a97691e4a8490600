# SPDX-License-Identifier: GPL-2.0-or-later
"""A stub that speaks GDB's remote protocol for an imitated kernel, and lies from some packet on."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.gdb.scripted_stub import KERNEL_MODE, SIZES, ScriptedStub
from tests.torture.kernel_image import KernelImage

__all__ = ("Lie", "LyingStub")

_STOP = "T05thread:01;"
_ENDED = "S05"
_STOPS = 40  # that a trace gets; then the kernel stops for no breakpoint
_NAMES = tuple(SIZES)

Lie = Callable[["LyingStub", str, "list[str]"], "Iterator[str | bytes]"]
"""Yields what is sent for a packet instead of its true replies; bytes are sent as they are."""


@dataclass
class LyingStub(ScriptedStub):
    """Serves `image`. The GDB that connects meets the next of `plans`.

    A plan is a lie, after how many packets it begins, what it does to the kernel's memory, and a
    seed for all else.
    """

    image: KernelImage = field(kw_only=True)
    plans: Iterator[tuple[Lie | None, int, Callable[[LyingStub], None], str]] = field(kw_only=True)

    def put(self, address: int, data: bytes) -> None:
        """Write `data` to the kernel's memory, as far as there is any."""
        for start, memory in self._memory:
            if start <= address and address + len(data) <= start + len(memory):
                memory[address - start : address - start + len(data)] = data
                return

    def put_int(self, address: int, value: int, size: int = 8) -> None:
        self.put(address, (value % (1 << 8 * size)).to_bytes(size, "little"))

    def _serve(self, gdb: socket.socket) -> None:
        self._lie, self._honest, damage, seed = next(self.plans)
        self.chance = random.Random(seed)
        self._packets = self._stops = 0
        self._points: list[int] = []
        self.phantom: Callable[[int, int], bytes | None] = lambda _address, _length: None
        self._memory = [(start, bytearray(data)) for start, data in self.image.memory]
        self.registers = {**self.image.registers, **KERNEL_MODE}
        damage(self)
        with contextlib.suppress(OSError):  # GDB has left, or a lie closed the connection
            super()._serve(gdb)

    def _send(self, gdb: socket.socket, reply: str | bytes) -> None:
        if isinstance(reply, bytes):
            gdb.sendall(reply)
        else:
            super()._send(gdb, reply)

    def _replies(self, packet: str) -> Iterator[str | bytes]:
        self._packets += 1
        true = list(self._true(packet))
        if self._lie is None or self._packets <= self._honest:
            yield from true
        else:
            yield from self._lie(self, packet, true)

    def _true(self, packet: str) -> Iterator[str]:
        kind = packet[:1]
        if kind == "M":
            place, _, data = packet[1:].partition(":")
            self.put(int(place.split(",")[0], 16), bytes.fromhex(data))
            yield "OK"
        elif kind == "P":
            number, _, data = packet[1:].partition("=")
            value = int.from_bytes(bytes.fromhex(data), "little")
            self.registers[_NAMES[int(number, 16)]] = value
            yield "OK"
        elif packet[:2] in ("Z0", "z0"):
            self._breakpoint(packet)
            yield "OK"
        elif kind == "c":
            yield self._run_on()
        elif packet == "qfThreadInfo":
            yield "m1,2"
        else:
            yield from super()._replies(packet)

    def _breakpoint(self, packet: str) -> None:
        address = int(packet.split(",")[1], 16)
        if packet[0] == "Z":
            self._points.append(address)
        elif address in self._points:
            self._points.remove(address)

    def _run_on(self) -> str:
        """Run into the next breakpoint, as a task that delivers a signal to itself."""
        self._stops += 1
        if not self._points or self._stops > _STOPS:
            return _ENDED
        task = self.chance.choice(self.image.tasks)
        self.put_int(self.image.symbols["current_task"], task)
        self.registers["rip"] = self.chance.choice(self._points)
        self.registers["rdi"] = task + self.image.offsets["thread.fpu"]
        return _STOP

    def _read(self, address: int, length: int) -> str:
        made = self.phantom(address, length)
        return made.hex() if made is not None else super()._read(address, length)
