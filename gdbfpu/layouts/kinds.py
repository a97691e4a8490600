# SPDX-License-Identifier: GPL-2.0-or-later
"""Recognize files that are not a vmlinux by their first bytes, so that an error can name them.

Sources: the System V ABI's ELF header; the kernel's Documentation/arch/x86/boot.rst for bzImage;
file(1)'s magic numbers.
"""

from __future__ import annotations

from pathlib import Path

from gdbfpu.errors import GdbFpuError

__all__ = ("HEAD_SIZE", "check_kernel", "is_relocatable")

HEAD_SIZE = 0x210
"""The number of bytes at the start of a file that `check_kernel` needs."""

_CLASS_32, _CLASS_64, _LITTLE = 1, 2, 1
_RELOCATABLE, _EXECUTABLE, _SHARED, _CORE = 1, 2, 3, 4  # e_type
_X86_64 = 62  # e_machine
_MACHINES = {
    3: "EM_386",
    8: "EM_MIPS",
    20: "EM_PPC",
    21: "EM_PPC64",
    40: "EM_ARM",
    183: "EM_AARCH64",
    243: "EM_RISCV",
    258: "EM_LOONGARCH",
}
_BZIMAGE_AT, _BZIMAGE = 0x202, b"HdrS"  # struct setup_header
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\x04\x22\x4d\x18": "lz4",
    b"\x02\x21\x4c\x18": "lz4",
    b"\x89LZO": "lzop",
}
_DUMPS = (b"KDUMP   ", b"DISKDUMP", b"makedumpfile")
_BTF = b"\x9f\xeb\1"
_GIVE = "use the vmlinux from the kernel's build or from the distribution's debug package"


def check_kernel(file: Path, head: bytes) -> None:
    """Raise GdbFpuError unless `file` may be the ELF file of an x86-64 kernel.

    The error says what `file` is. `head` is its first HEAD_SIZE bytes.
    """
    if head[:4] != b"\x7fELF":
        raise GdbFpuError(f"{file} is not an ELF file{_known(head)}")
    if len(head) < 20:
        raise GdbFpuError(f"{file} is an ELF file, but it is cut off")
    machine = _field(head, 18)
    if (head[4], head[5], machine) != (_CLASS_64, _LITTLE, _X86_64):
        raise GdbFpuError(
            f"{file} is for {_machine(head)}, but gdbfpu reads EM_X86_64 kernels only"
        )
    kind = _field(head, 16)
    if kind == _RELOCATABLE:
        raise GdbFpuError(
            f"{file} is a relocatable object (vmlinux.o, a module, a .dwo file), "
            f"which has no final addresses yet: {_GIVE}"
        )
    if kind == _CORE:
        raise GdbFpuError(f"{file} is a core file or a dump, not a kernel: {_GIVE}")
    if kind not in (_EXECUTABLE, _SHARED):
        raise GdbFpuError(f"{file} is an ELF file of type {kind}, not a kernel: {_GIVE}")


def is_relocatable(head: bytes) -> bool:
    """Return whether a file that starts with `head` is an x86-64 object, such as a .dwo file."""
    named = head[:6] == b"\x7fELF" + bytes((_CLASS_64, _LITTLE)) and len(head) >= 20
    return named and (_field(head, 16), _field(head, 18)) == (_RELOCATABLE, _X86_64)


def _field(head: bytes, at: int) -> int:
    return int.from_bytes(head[at : at + 2], "little" if head[5] == _LITTLE else "big")


def _machine(head: bytes) -> str:
    machine = _field(head, 18)
    if machine == _X86_64:
        wide = "32-bit (x32)" if head[4] == _CLASS_32 else "big-endian"
        return f"a {wide} form of EM_X86_64"
    return _MACHINES.get(machine, f"machine {machine}")


def _known(head: bytes) -> str:
    """Return what a file that is not ELF is, and what to do with it; empty if unknown."""
    if head[_BZIMAGE_AT : _BZIMAGE_AT + 4] == _BZIMAGE:
        return (
            " but a compressed kernel (bzImage), which has no types: "
            f"{_GIVE} (scripts/extract-vmlinux does not help: the file that it makes has no types)"
        )
    for magic, name in _PACKED.items():
        if head.startswith(magic):
            return f": it is compressed with {name}; unpack it first"
    if head.startswith(_DUMPS):
        return f" but a dump in makedumpfile's format: {_GIVE}"
    return f" but bare BTF: {_GIVE}" if head.startswith(_BTF) else ""
