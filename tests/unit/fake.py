# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel without a kernel: the protocols of gdbfpu.target over memory that a test writes."""

from __future__ import annotations

from collections.abc import Iterator

from gdbfpu.errors import MemoryFault
from gdbfpu.kernel.stubs import CORE, KGDB, QEMU
from gdbfpu.target import Answers, Frame, Thread

STUBS = {stub.name: stub for stub in (KGDB, QEMU, CORE)}


class FakeMemory:
    """The Memory of a dump: ranges by their start, symbols and object sizes as dicts."""

    machine: FakeTarget | None = None

    def __init__(self):
        self.stub = CORE
        self.slide = 0
        self.ranges: dict[int, bytearray] = {}
        self.symbols: dict[str, int] = {}
        self.sizes: dict[str, int] = {}
        self.reads: list[tuple[int, int]] = []
        self.writes: list[tuple[int, bytes]] = []

    def put(self, address: int, data: bytes) -> None:
        """Write `data` at `address`: into the range that holds it, or as a range of its own."""
        for start, memory in self.ranges.items():
            if start <= address and address + len(data) <= start + len(memory):
                memory[address - start : address - start + len(data)] = data
                return
        self.ranges[address] = bytearray(data)

    def put_int(self, address: int, value: int, size: int = 8) -> None:
        self.put(address, (value % (1 << 8 * size)).to_bytes(size, "little"))

    def read_memory(self, address: int, length: int) -> bytes:
        self.reads.append((address, length))
        for start, memory in self.ranges.items():
            if start <= address and address + length <= start + len(memory):
                return bytes(memory[address - start : address - start + length])
        raise MemoryFault(address, length)

    def write_memory(self, address: int, data: bytes) -> None:
        """Write where there is memory; raise MemoryFault elsewhere, as a stub does."""
        for start, memory in self.ranges.items():
            if start <= address and address + len(data) <= start + len(memory):
                memory[address - start : address - start + len(data)] = data
                self.writes.append((address, data))
                return
        raise MemoryFault(address, len(data))

    def symbol_address(self, name: str) -> int | None:
        return self.symbols.get(name)

    def symbol_size(self, name: str) -> int:
        return self.sizes.get(name, 0)


class FakeTarget(FakeMemory):
    """A Machine that stopped: the same memory, with registers and threads as a test sets them."""

    def __init__(self, stub="kgdb"):
        super().__init__()
        self.machine = self
        self.stub = STUBS[stub]
        self.registers: dict[str, int] = {}
        self.stopped = Thread(1, 1)
        self.all_threads: tuple[Thread, ...] = (self.stopped,)
        self.frames: tuple[str | Frame, ...] = ()
        self.unwound = 0
        self.fpu: dict[int, dict[str, bytes]] = {}
        self.control: dict[tuple[int, str], int] = {}
        self.answers: Answers | None = None
        self.arguments: dict[str, tuple[str, str]] = {}
        self.inlined: dict[str, tuple[int, ...]] = {}

    def task_argument(self, function: str) -> tuple[str, str] | None:
        return self.arguments.get(function)

    def inlined_copies(self, function: str) -> tuple[int, ...]:
        return self.inlined.get(function, ())

    def register(self, name: str) -> int | None:
        return self.registers.get(name)

    def control_register(self, cpu: int, name: str) -> int | None:
        return self.control.get((cpu, name))

    def fpu_registers(self, cpu: int) -> dict[str, bytes]:
        return self.fpu.get(cpu, {})

    def stopped_thread(self) -> Thread:
        return self.stopped

    def threads(self) -> tuple[Thread, ...]:
        return self.all_threads

    def callers(self) -> Iterator[Frame]:
        """Each of `frames` is a name, or a Frame."""
        for frame in self.frames:
            self.unwound += 1
            yield frame if isinstance(frame, Frame) else Frame(frame, 0, 0)
