# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the kernel that runs is the one that vmlinux describes."""

from __future__ import annotations

from pathlib import Path

from gdbfpu import dwarf
from gdbfpu.errors import CorruptState, GdbFpuError, MemoryFault
from gdbfpu.target import Target

__all__ = ("verify",)

_MAX_NOTES = 4096  # bytes; a kernel has a few notes of some ten bytes each
_NT_GNU_BUILD_ID = 3
_HINT = "give GDB the vmlinux of that kernel, or boot it with nokaslr"


def verify(target: Target, vmlinux: Path) -> str:
    """Return the build-id (hex) that `vmlinux` and the running kernel share.

    Where the file has none, their `linux_banner` has to be the same and `` is returned.
    Raises GdbFpuError when they differ or when it is not x86-64, MemoryFault when the
    kernel's memory cannot be read.
    """
    machine = dwarf.machine(vmlinux)
    if machine != "EM_X86_64":
        raise GdbFpuError(f"{vmlinux} is for {machine}, and gdbfpu reads EM_X86_64 kernels only")
    wanted = dwarf.build_id(vmlinux)
    if wanted is None:
        _same_banner(target, vmlinux)
        return ""
    running = _running_build_id(target, vmlinux)
    if running != wanted:
        found = f"has build-id {running}" if running else "shows no build-id there"
        raise GdbFpuError(
            f"{vmlinux} (build-id {wanted}) is not the kernel that runs, which {found}: {_HINT}"
        )
    return wanted


def _running_build_id(target: Target, vmlinux: Path) -> str | None:
    start, end = target.symbol_address("__start_notes"), target.symbol_address("__stop_notes")
    if start is None or end is None or not 0 < end - start <= _MAX_NOTES:
        raise CorruptState(f"{vmlinux} does not say where the kernel's notes are")
    try:
        return _find_build_id(target.read_memory(start, end - start))
    except MemoryFault as error:
        raise GdbFpuError(f"the kernel of {vmlinux} is not in memory: {_HINT}") from error


def _find_build_id(notes: bytes) -> str | None:
    """Walk ELF notes: u32 sizes of name and descriptor, u32 type, both padded to 4 bytes."""
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = (
            int.from_bytes(notes[at + i : at + i + 4], "little") for i in (0, 4, 8)
        )
        name = at + 12
        data = name + (name_size + 3 & ~3)
        if kind == _NT_GNU_BUILD_ID and notes[name : name + name_size] == b"GNU\0":
            return notes[data : data + size].hex()
        at = data + (size + 3 & ~3)
    return None


def _same_banner(target: Target, vmlinux: Path) -> None:
    address = target.symbol_address("linux_banner")
    if address is None:
        raise GdbFpuError(f"{vmlinux} has no linux_banner: is it a Linux kernel?")
    wanted = dwarf.static_string(vmlinux, address)
    running = target.read_memory(address, len(wanted))
    if not wanted or running != wanted:
        raise GdbFpuError(f"{vmlinux} is not the kernel that runs: {_HINT}")
