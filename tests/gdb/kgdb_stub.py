# SPDX-License-Identifier: GPL-2.0-or-later
"""A stub that behaves as KGDB, and lies where a test wants it to.

It serves kgdb44.c's memory and executes the few instructions that gdbfpu has a CPU execute. Source:
kernel/debug/gdbstub.c and arch/x86/kernel/kgdb.c of Linux 4.4 and 5.10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

from elftools.elf.elffile import ELFFile
from gdb_harness import GOLDEN
from scripted_stub import ScriptedStub

WHOLE = (
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip"),
)
NUMBERS = (*WHOLE, "eflags", "cs", "ss", "ds", "es", "fs", "gs")
PLAYER, SLEEPER, IDLE = 30, 31, 0xFFFFFFFD  # threads; CPU 1's idle task has -3
TF, IF = 0x100, 0x200
IMAGE = 832  # bytes
CPUID = {(0xD, 0): (7, IMAGE, IMAGE, 0), (0xD, 1): (1, 0, 0, 0)}  # eax, ebx, ecx, edx
MSRS = {0xC0000080: 0xD01, 0xDA0: 0x800, 0x1C4: 1 << 18}
XSAVEOPT, MASK = b"\x48\x0f\xae\x37", (7, 0)  # xsaveopt64 (%rdi); eax, edx


class Step(NamedTuple):
    """What a CPU had when it was to execute an instruction."""

    code: str
    rip: int
    eflags: int
    single_step: int
    other: int  # exception_state of CPU 1


Lie = Callable[["KgdbStub"], Optional[str]]


@dataclass
class KgdbStub(ScriptedStub):
    """KGDB with two CPUs. `lies` are called after the step of that number, from 1 on.

    A lie changes what it wants, and may return another reply, empty for none at all. `stuck` are
    registers that the stub does not set, though it says so; `lost` are addresses where it does not
    write; `short` leaves out two segment registers of `g`, as newer kernels do.
    """

    lies: dict[int, Lie] = field(default_factory=dict)
    stuck: set[str] = field(default_factory=set)
    lost: range = range(0)
    refused: bool = False
    short: bool = False
    cr0: int = 0x80050033
    cpuid: dict[tuple[int, int], tuple[int, ...]] = field(default_factory=lambda: dict(CPUID))

    def __enter__(self) -> KgdbStub:
        super().__enter__()
        with self.file.open("rb") as stream:
            table = ELFFile(stream).get_section_by_name(".symtab")
            self.symbols = {s.name: s["st_value"] for s in table.iter_symbols()}
        self._memory = [(start, bytearray(data)) for start, data in self._memory]
        self.selected = PLAYER
        self.steps: list[Step] = []
        self.packets: list[str] = []
        self.registers = {name: 0x1111 * (n + 1) for n, name in enumerate(NUMBERS)}
        self.registers.update(
            rip=self.at("kgdb_handle_exception") + 1,
            rsp=self.at("stack") + 2048,
            rbp=self.at("stack") + 3072,
            eflags=0x246,
            cs=0x10,
        )
        self.put(self.at("nr_cpu_ids"), 2, 4)
        apart = self.at("current_of_1") - self.at("current_task")
        self.put(self.at("__per_cpu_offset") + 8, apart, 8)
        self.area = self.at("player") + GOLDEN["offsets"]["fpu"] + 64
        self.write(self.area, old_image())
        return self

    def at(self, symbol: str) -> int:
        return self.symbols[symbol]

    def read(self, address: int, size: int) -> bytes:
        for start, data in self._memory:
            if start <= address and address + size <= start + len(data):
                return bytes(data[address - start : address - start + size])
        raise LookupError(hex(address))

    def write(self, address: int, data: bytes) -> None:
        for start, memory in self._memory:
            if start <= address and address + len(data) <= start + len(memory):
                memory[address - start : address - start + len(data)] = data
                return
        raise LookupError(hex(address))

    def put(self, address: int, value: int, size: int) -> None:
        self.write(address, value.to_bytes(size, "little", signed=value < 0))

    def number(self, address: int) -> int:
        return int.from_bytes(self.read(address, 4), "little")

    @property
    def state_of_1(self) -> int:
        """Where kgdb_info[1].exception_state is."""
        return self.at("kgdb_info") + 32 + 16

    def all(self) -> tuple[bytes, dict[str, int]]:
        """All memory and registers."""
        return b"".join(bytes(data) for _, data in self._memory), dict(self.registers)

    # --- packets

    def _replies(self, packet: str) -> Iterator[str]:
        kind, rest = packet[:1], packet[1:]
        self.packets.append(packet)
        if kind == "m":
            yield self._read(*(int(number, 16) for number in rest.split(",")))
        elif kind == "M":
            yield self._written(rest)
        elif kind == "g":
            yield self._shown()
        elif kind == "P":
            yield self._set(rest)
        elif packet == "s":
            reply = self._step()
            yield from [reply] if reply else []
        elif kind == "H":
            if rest[:1] == "g" and rest[1:] not in ("0", "-1"):
                self.selected = int(rest[1:], 16) & 0xFFFFFFFF
            yield "OK"
        elif kind == "T":
            yield "OK"
        else:
            fixed = {
                "qSupported": "PacketSize=400",
                "?": f"T05thread:{PLAYER:08x};",
                "qC": f"QC{PLAYER:08x}",
                "qfThreadInfo": f"m{PLAYER:08x},{SLEEPER:08x},{IDLE:08x}",
                "qsThreadInfo": "l",
                "D": "OK",
            }
            yield fixed.get(packet.partition(":")[0], "")

    def _written(self, rest: str) -> str:
        where, _, data = rest.partition(":")
        address = int(where.partition(",")[0], 16)
        if address in self.lost:
            return "E14" if self.refused else "OK"
        self.write(address, bytes.fromhex(data))
        return "OK"

    def _shown(self) -> str:
        names = NUMBERS[:-2] if self.short else NUMBERS
        here = self.registers if self.selected == PLAYER else {}
        sizes = ((name, 8 if name in WHOLE else 4) for name in names)
        return "".join(here.get(n, 0).to_bytes(size, "little").hex() for n, size in sizes)

    def _set(self, rest: str) -> str:
        if self.selected != PLAYER:
            return "E22"
        number, _, data = rest.partition("=")
        name = NUMBERS[int(number, 16)]
        if name != "rsp" and name not in self.stuck:
            self.registers[name] = int.from_bytes(bytes.fromhex(data), "little")
        return "OK"

    # --- a CPU

    def _step(self) -> str:
        rip, step = self.registers["rip"], self.at("kgdb_single_step")
        code = self.read(rip, 4)
        self.steps.append(
            Step(
                code.hex(),
                rip,
                self.registers["eflags"],
                self.number(step),
                self.number(self.state_of_1),
            )
        )
        self._execute(code)
        self.registers["eflags"] |= TF  # KGDB leaves it to the debugger
        self.put(step, 0, 4)  # KGDB is entered again
        lie = self.lies.get(len(self.steps))
        told = lie(self) if lie is not None else None
        return f"T05thread:{PLAYER:08x};" if told is None else told

    def _execute(self, code: bytes) -> None:
        r, low = self.registers, (1 << 32) - 1
        if code[:2] == b"\x0f\x20":
            name = WHOLE[(0, 2, 3, 1, 7, 6, 4, 5)[code[2] & 7]]
            r[name] = {0: self.cr0, 4: 0x3406F0}[code[2] >> 3 & 7]
            size = 3
        elif code[:2] == b"\x0f\xa2":
            key = (r["rax"] & low, r["rcx"] & low)
            r["rax"], r["rbx"], r["rcx"], r["rdx"] = self.cpuid[key]
            size = 2
        elif code[:2] == b"\x0f\x32":
            value = MSRS[r["rcx"] & low]
            r["rax"], r["rdx"] = value & low, value >> 32
            size = 2
        else:
            assert code == XSAVEOPT and (r["rax"], r["rdx"]) == MASK, code
            self.write(r["rdi"], new_image())
            size = 4
        r["rip"] += size


def image_of(fill: int) -> bytes:
    """An image in which each register has its own bytes, counted from `fill`."""
    data = bytearray(IMAGE)
    data[0:2], data[24:32] = b"\x7f\x03", b"\x80\x1f\0\0\xff\xff\0\0"
    for n in range(16):
        data[160 + 16 * n : 176 + 16 * n] = bytes([fill + n] * 16)
        data[576 + 16 * n : 592 + 16 * n] = bytes([fill + 16 + n] * 16)
    data[512] = 7
    return bytes(data)


def old_image() -> bytes:
    """What memory has: the last save."""
    return image_of(0x10)


def new_image() -> bytes:
    """What the CPU has."""
    return image_of(0x80)
