# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel knows of its CPUs' bugs: which they have, and what it does against them.

The kernel numbers the bugs, differently in different trees. But it has their names, for
/proc/cpuinfo, in x86_bug_flags[] (3.17, commit 80a208bd3948). For /sys it has what it does against
one in NAME_strings[], an array by the value of NAME_mitigation (arch/x86/kernel/cpu/bugs.c).
"""

from __future__ import annotations

from dataclasses import dataclass

from gdbfpu.errors import MemoryFault
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.target import read_u32
from gdbfpu.text.printable import printable

__all__ = ("Cpu", "Mitigation", "bug_flags", "mitigation", "read_cpu")

_WORD = 32  # bugs in a word
_MOST_BUGS = 256
_NAME = 32  # bytes of a bug's name to read
_TEXT = 96  # bytes of a mitigation's text to read
_STATES = 16  # texts of one mitigation at most


@dataclass(frozen=True)
class Cpu:
    """The model of the CPU: family and model as CPUID counts them, the microcode's revision."""

    family: int
    model: int
    microcode: int


@dataclass(frozen=True)
class Mitigation:
    """What /sys says of a bug, `text`, and the `address` of the variable that decides."""

    text: str
    address: int


def read_cpu(kernel: Kernel) -> Cpu | None:
    """Return the model in boot_cpu_data, None if a member is missing; raise MemoryFault."""
    base, values = kernel.target.symbol_address("boot_cpu_data"), []
    for name in ("x86", "x86_model", "microcode"):
        member = kernel.layouts.find("cpuinfo_x86", name)
        if base is None or member is None:
            return None
        data = kernel.target.read_memory(base + member.offset, member.size)
        values.append(int.from_bytes(data, "little"))
    return Cpu(*values)


def bug_flags(kernel: Kernel) -> dict[str, bool]:
    """Return each bug that the kernel knows by name, and whether the CPUs have it.

    The result is empty if the kernel has no names for bugs. Raises MemoryFault.
    """
    target = kernel.target
    table, base = target.symbol_address("x86_bug_flags"), target.symbol_address("boot_cpu_data")
    words = kernel.layouts.find("cpuinfo_x86", "x86_capability")
    count = target.symbol_size("x86_bug_flags") // 8
    if table is None or base is None or words is None or not 0 < count <= _MOST_BUGS:
        return {}
    start = words.offset + words.size - count // 8  # bits follow those of the features
    bits = int.from_bytes(target.read_memory(base + start, count // 8), "little")
    data = target.read_memory(table, 8 * count)
    pointers = (int.from_bytes(data[8 * i : 8 * i + 8], "little") for i in range(count))
    return {
        _string(kernel, pointer, _NAME): bool(bits >> number & 1)
        for number, pointer in enumerate(pointers)
        if pointer
    }


def mitigation(kernel: Kernel, bug: str) -> Mitigation | None:
    """Return what the kernel does against `bug`, None if it does not say; raise MemoryFault."""
    target = kernel.target
    state, texts = (target.symbol_address(f"{bug}_{kind}") for kind in ("mitigation", "strings"))
    if state is None or texts is None:
        return None
    value = read_u32(target, state)
    size = target.symbol_size(f"{bug}_strings") // 8
    if value >= min(size, _STATES):
        return None
    pointer = int.from_bytes(target.read_memory(texts + 8 * value, 8), "little")
    return Mitigation(_string(kernel, pointer, _TEXT), state) if pointer else None


def _string(kernel: Kernel, address: int, most: int) -> str:
    """Return the string at `address`, at most `most` bytes of it; raise MemoryFault."""
    try:
        data = kernel.target.read_memory(address, most)
    except MemoryFault:  # it may be the last one before memory that is not there
        data = kernel.target.read_memory(address, -address % 16 or 16)
    return printable(data.split(b"\0", 1)[0])
