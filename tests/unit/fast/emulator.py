# SPDX-License-Identifier: GPL-2.0-or-later
"""A CPU that executes kernel code at the kernel's addresses: Unicorn, and what it writes."""

from __future__ import annotations

from dataclasses import dataclass, field

from capstone import CS_ARCH_X86, CS_MODE_64, Cs
from unicorn import (
    UC_ARCH_X86,
    UC_HOOK_CODE,
    UC_HOOK_MEM_WRITE,
    UC_HOOK_TLB_FILL,
    UC_MODE_64,
    UC_PROT_ALL,
    UC_TLB_VIRTUAL,
    Uc,
)
from unicorn import x86_const as x86

REGISTERS = (
    *("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"),
)
_IDS = [getattr(x86, f"UC_X86_REG_{name.upper()}") for name in REGISTERS]
_PHYSICAL = (1 << 40) - 1  # kernel addresses differ in these bits
MOST = 50_000  # instructions; a pass takes fewer
IF = 0x200


@dataclass
class State:
    """The registers, by name, and RFLAGS."""

    registers: dict[str, int]
    flags: int


@dataclass
class Write:
    """One store to memory; `quiet` is whether interrupts were off."""

    address: int
    size: int
    value: int
    quiet: bool


@dataclass
class Emulator:
    """A CPU in kernel mode with `areas` of memory: the size in bytes of each, by its address."""

    areas: dict[int, int]
    writes: list[Write] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._uc = Uc(UC_ARCH_X86, UC_MODE_64)
        self._uc.ctl_set_tlb_mode(UC_TLB_VIRTUAL)
        self._uc.hook_add(UC_HOOK_TLB_FILL, self._translate)
        self._uc.hook_add(UC_HOOK_MEM_WRITE, self._note)
        for address, size in self.areas.items():
            self._uc.mem_map(address & _PHYSICAL, size)
        self._high = {a & _PHYSICAL & ~0xFFF: a & ~_PHYSICAL for a in self._pages()}

    def _pages(self):
        for address, size in self.areas.items():
            yield from range(address, address + size, 0x1000)

    def _translate(self, uc, address, access, entry, data):
        physical = address & _PHYSICAL & ~0xFFF
        if self._high.get(physical) != address & ~_PHYSICAL:
            return False
        entry.paddr, entry.perms = physical, UC_PROT_ALL
        return True

    def _note(self, uc, access, address, size, value, data):
        high = self._high[address & ~0xFFF]
        quiet = not uc.reg_read(x86.UC_X86_REG_RFLAGS) & IF
        self.writes.append(Write(high | address, size, value % (1 << 64), quiet))

    def at(self, address: int, act) -> None:
        """Call `act` whenever the instruction at `address` is to be executed."""
        self._uc.hook_add(UC_HOOK_CODE, lambda *_: act(), None, address, address)

    def stop(self) -> None:
        self._uc.emu_stop()

    def set(self, **registers: int) -> None:
        for name, value in registers.items():
            self._uc.reg_write(getattr(x86, f"UC_X86_REG_{name.upper()}"), value)

    def read(self, address: int, size: int) -> bytes:
        return bytes(self._uc.mem_read(address & _PHYSICAL, size))

    def write(self, address: int, data: bytes) -> None:
        self._uc.mem_write(address & _PHYSICAL, bytes(data))

    def start(self, state: State, gs_base: int) -> None:
        self.writes.clear()
        self._uc.reg_write_batch(
            [(n, state.registers[name]) for n, name in zip(_IDS, REGISTERS, strict=True)]
        )
        self.set(rflags=state.flags, gs_base=gs_base)

    def run(self, address: int, until: int, most: int = MOST) -> int:
        """Execute from `address` until the instruction at `until`; return where it stopped.

        It stops after `most` instructions, unless that is 0.
        """
        self._uc.emu_start(address, until, count=most)
        return self._uc.reg_read(x86.UC_X86_REG_RIP)

    @property
    def state(self) -> State:
        values = self._uc.reg_read_batch(_IDS)
        flags = self._uc.reg_read(x86.UC_X86_REG_RFLAGS)
        return State(dict(zip(REGISTERS, values, strict=True)), flags)


def places_of(mnemonic: str, code: bytes, address: int, *, after: bool = False) -> list[int]:
    """The addresses of (or right behind) all instructions in `code` that are called `mnemonic`."""
    found = Cs(CS_ARCH_X86, CS_MODE_64).disasm(code, address)
    return [one.address + one.size * after for one in found if one.mnemonic == mnemonic]
