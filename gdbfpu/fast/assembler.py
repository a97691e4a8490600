# SPDX-License-Identifier: GPL-2.0-or-later
"""An assembler for the few instructions that a trampoline needs.

Source of the encodings: Intel SDM, volume 2. Operands are in Intel's order: the destination first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

__all__ = ("Assembler", "Condition", "Memory", "Register")


class Register(IntEnum):
    """A general register, by its number in an encoding."""

    RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 = range(16)


class Condition(IntEnum):
    """The condition of a jump or a `setcc`, by its number in an encoding."""

    BELOW, NOT_BELOW, EQUAL, NOT_EQUAL, NOT_ABOVE, ABOVE = range(2, 8)


@dataclass(frozen=True)
class Memory:
    """A memory operand: `base` + `disp`, in the segment gs if `gs`.

    Without `base`, `disp` is the whole address, sign-extended from 32 bits. With `label`, the
    address is that of the label, which the instruction reaches relative to rip.
    """

    base: Register | None = None
    disp: int = 0
    gs: bool = False
    label: str = ""

    def at(self, offset: int) -> Memory:
        """Return the operand `offset` bytes further on."""
        return replace(self, disp=self.disp + offset)


_BYTE, _DWORD, _QWORD = 1, 4, 8


class Assembler:
    """Machine code for `address`, made one instruction after another. Labels may come later."""

    def __init__(self, address: int) -> None:
        self._address = address
        self._code = bytearray()
        self._labels: dict[str, int] = {}
        self._uses: list[tuple[int, str, int]] = []  # where a rel32 is, its label, what to add

    @property
    def here(self) -> int:
        """Return the address of the next instruction."""
        return self._address + len(self._code)

    def label(self, name: str, address: int | None = None) -> None:
        """Give `name` to `address`, or to the next instruction."""
        if name in self._labels:
            raise ValueError(f"two labels are called {name}")
        self._labels[name] = self.here if address is None else address

    def address_of(self, name: str) -> int:
        """Return the address of the label `name`."""
        return self._labels[name]

    def finish(self) -> bytes:
        """Return the code, with all labels filled in; raise ValueError or OverflowError."""
        for place, name, addend in self._uses:
            if name not in self._labels:
                raise ValueError(f"no label is called {name}")
            distance = self._labels[name] + addend - (self._address + place + 4)
            self._code[place : place + 4] = distance.to_bytes(4, "little", signed=True)
        return bytes(self._code)

    def raw(self, code: bytes) -> None:
        """Append `code` as it is."""
        self._code += code

    def simple(self, name: str) -> None:
        """Append an instruction without operands."""
        self.raw(_SIMPLE[name])

    def push(self, register: Register) -> None:
        """Append `push r64`."""
        self.raw(_rex(0, 0, 0, register) + bytes((0x50 | register & 7,)))

    def pop(self, register: Register) -> None:
        """Append `pop r64`."""
        self.raw(_rex(0, 0, 0, register) + bytes((0x58 | register & 7,)))

    def push_value(self, value: int) -> None:
        """Append `push imm32`: the CPU extends the sign of `value` to 64 bits."""
        self.raw(b"\x68" + value.to_bytes(4, "little", signed=True))

    def mov(self, to: Register, source: Register | Memory, size: int = _QWORD) -> None:
        """Append `mov`; a 32-bit one clears the upper half of `to`."""
        self._rm(b"\x8b", to, source, size)

    def store(self, to: Memory, source: Register, size: int = _QWORD) -> None:
        """Append a `mov` to memory."""
        self._rm(b"\x89", source, to, size)

    def store_byte(self, to: Memory, source: Register) -> None:
        """Append a `mov` of the lowest byte to memory."""
        self._rm(b"\x88", source, to, _BYTE)

    def store_value(self, to: Memory, value: int) -> None:
        """Append `mov m32, imm32`."""
        self._rm(b"\xc7", 0, to, _DWORD, value.to_bytes(4, "little"))

    def load(self, to: Register, value: int) -> None:
        """Append a `mov` of the u64 `value`, in the shortest of two forms."""
        if value >> 32:
            self.raw(_rex(1, 0, 0, to) + bytes((0xB8 | to & 7,)) + value.to_bytes(8, "little"))
        else:
            self.raw(_rex(0, 0, 0, to) + bytes((0xB8 | to & 7,)) + value.to_bytes(4, "little"))

    def load_byte(self, to: Register, source: Memory) -> None:
        """Append `movzx r32, m8`."""
        self._rm(b"\x0f\xb6", to, source, _DWORD)

    def lea(self, to: Register, source: Memory) -> None:
        """Append `lea r64, m`."""
        self._rm(b"\x8d", to, source, _QWORD)

    def add(self, to: Register, source: Register | Memory) -> None:
        """Append `add r64, r/m64`."""
        self._rm(b"\x03", to, source, _QWORD)

    def combine(self, to: Register, source: Register) -> None:
        """Append `or r64, r64`."""
        self._rm(b"\x0b", to, source, _QWORD)

    def combine_memory(self, to: Memory, source: Register, size: int = _QWORD) -> None:
        """Append `or m, r`."""
        self._rm(b"\x09", source, to, size)

    def mask(self, to: Register, source: Register) -> None:
        """Append `and r64, r64`."""
        self._rm(b"\x23", to, source, _QWORD)

    def mask_value(self, to: Register, value: int) -> None:
        """Append `and r32, imm32`, which clears the upper half of `to`."""
        self._rm(b"\x81", 4, to, _DWORD, value.to_bytes(4, "little"))

    def combine_value(self, to: Register, value: int) -> None:
        """Append `or r32, imm32`, which clears the upper half of `to`."""
        self._rm(b"\x81", 1, to, _DWORD, value.to_bytes(4, "little"))

    def add_value(self, to: Register | Memory, value: int) -> None:
        """Append `add r/m64, imm32`."""
        self._rm(b"\x81", 0, to, _QWORD, value.to_bytes(4, "little", signed=True))

    def compare(self, left: Register, right: Register | Memory, size: int = _QWORD) -> None:
        """Append `cmp r, r/m`."""
        self._rm(b"\x3b", left, right, size)

    def compare_value(self, left: Register | Memory, value: int) -> None:
        """Append `cmp r/m32, imm32`."""
        self._rm(b"\x81", 7, left, _DWORD, value.to_bytes(4, "little"))

    def test(self, left: Register, right: Register, size: int = _QWORD) -> None:
        """Append `test r, r`."""
        self._rm(b"\x85", left, right, size)

    def test_value(self, left: Memory, value: int) -> None:
        """Append `test m32, imm32`."""
        self._rm(b"\xf7", 0, left, _DWORD, value.to_bytes(4, "little"))

    def swap(self, register: Register, place: Memory) -> None:
        """Append `xchg r32, m32`, which is locked."""
        self._rm(b"\x87", register, place, _DWORD)

    def multiply(self, to: Register, factor: int) -> None:
        """Append `imul r64, r64, imm32`."""
        self._rm(b"\x69", to, to, _QWORD, factor.to_bytes(4, "little", signed=True))

    def shift_left(self, to: Register, count: int) -> None:
        """Append `shl r64, imm8`."""
        self._rm(b"\xc1", 4, to, _QWORD, bytes((count,)))

    def shift_right(self, to: Register, count: int) -> None:
        """Append `shr r64, imm8`."""
        self._rm(b"\xc1", 5, to, _QWORD, bytes((count,)))

    def increment(self, place: Memory, *, lock: bool = False) -> None:
        """Append `inc m64`, with LOCK if `lock`."""
        self._rm(b"\xff", 0, place, _QWORD, lock=lock)

    def jump(self, to: str) -> None:
        """Append `jmp rel32` to a label."""
        self._relative(b"\xe9", to)

    def jump_if(self, condition: Condition, to: str) -> None:
        """Append `jcc rel32` to a label."""
        self._relative(bytes((0x0F, 0x80 | condition)), to)

    def call(self, to: str) -> None:
        """Append `call rel32` to a label."""
        self._relative(b"\xe8", to)

    def _relative(self, opcode: bytes, to: str) -> None:
        self.raw(opcode)
        self._uses.append((len(self._code), to, 0))
        self.raw(bytes(4))

    def _rm(
        self,
        opcode: bytes,
        register: int,
        place: Register | Memory,
        size: int,
        immediate: bytes = b"",
        *,
        lock: bool = False,
    ) -> None:
        """Append `opcode`, and a ModRM byte for `place` and `register` (or more of the opcode)."""
        base = place.base if isinstance(place, Memory) else place
        prefix = b"\xf0" if lock else b""
        if isinstance(place, Memory) and place.gs:
            prefix += b"\x65"
        low_byte = size == _BYTE and register >= Register.RSP  # sil and the like need a REX prefix
        rex = _rex(size == _QWORD, register, 0, base or 0, always=low_byte)
        self.raw(prefix + rex + opcode)
        field = (register & 7) << 3
        if isinstance(place, Register):
            self.raw(bytes((0xC0 | field | place & 7,)))
        elif place.label:
            self.raw(bytes((field | 5,)))
            self._uses.append((len(self._code), place.label, place.disp - len(immediate)))
            self.raw(bytes(4))
        else:
            self.raw(_address(field, place))
        self.raw(immediate)


def _rex(wide: int, register: int, index: int, base: int, *, always: bool = False) -> bytes:
    bits = bool(wide) << 3 | (register >> 3) << 2 | (index >> 3) << 1 | base >> 3
    return bytes((0x40 | bits,)) if bits or always else b""


def _address(field: int, place: Memory) -> bytes:
    """Return the ModRM byte with `field`, the SIB byte where one is needed, and the disp32."""
    disp = place.disp.to_bytes(4, "little", signed=True)
    if place.base is None:
        return bytes((field | 4, 0x25)) + disp
    sib = b"\x24" if place.base & 7 == Register.RSP else b""
    return bytes((0x80 | field | place.base & 7,)) + sib + disp


_SIMPLE = {
    "cld": b"\xfc",
    "cli": b"\xfa",
    "nop": b"\x90",
    "pause": b"\xf3\x90",
    "popfq": b"\x9d",
    "pushfq": b"\x9c",
    "rdtsc": b"\x0f\x31",
    "rep stosq": b"\xf3\x48\xab",
    "ret": b"\xc3",
}
