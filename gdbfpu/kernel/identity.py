# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the kernel that runs is the one that vmlinux describes, and how far KASLR moved it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gdbfpu.errors import CorruptState, GdbFpuError, MemoryFault
from gdbfpu.layouts import elf
from gdbfpu.target import Memory

__all__ = ("file_slide", "find_slide", "verify")

_MAX_NOTES = 4096  # bytes; a kernel has a few notes of some ten bytes each
_HINT = "give GDB the vmlinux of that kernel, or boot it with nokaslr"
_STEP = 2 << 20  # the least CONFIG_PHYSICAL_ALIGN on x86-64: KASLR moves the kernel by multiples
_MOST = 1 << 30  # RANDOMIZE_BASE_MAX_OFFSET, arch/x86/include/asm/page_64_types.h


def file_slide(target: Memory, vmlinux: Path) -> int:
    """Return how many bytes the debugger's symbols lie above the addresses in `vmlinux`.

    0 unless they were moved, as by `symbol-file -o`.
    """
    start, written = target.symbol_address("__start_notes"), elf.section_start(vmlinux, ".notes")
    return start - written if start is not None and written is not None else 0


def find_slide(
    target: Memory, vmlinux: Path, progress: Callable[[int, int], None] | None = None
) -> int | None:
    """Return how many bytes the running kernel lies above the addresses in `vmlinux`.

    Where the kernel could be is tried from the symbols' present place on; only a place with
    the file's build-id (its banner, where it has none) counts. None when there is none: it is
    another kernel, or its text is not mapped where the CPU stopped.
    """
    applied = file_slide(target, vmlinux)
    places = [applied, *(slide for slide in range(0, _MOST, _STEP) if slide != applied)]
    try:
        is_at = _recognizer(target, vmlinux)
    except GdbFpuError:  # nothing to know it by, as `verify` will say
        return None
    for tried, slide in enumerate(places):
        with suppress(GdbFpuError):  # nothing is there
            if is_at(slide - applied):
                return slide
        if progress is not None:
            progress(tried, len(places))
    return None


def _recognizer(target: Memory, vmlinux: Path) -> Callable[[int], bool]:
    """Return a function that tells whether the kernel lies so many bytes above the symbols."""
    wanted = elf.build_id(vmlinux)
    if wanted is not None:
        return lambda further: _running_build_id(target, vmlinux, further) == wanted
    address, banner = _banner(target, vmlinux)
    return lambda further: target.read_memory(address + further, len(banner)) == banner


def verify(target: Memory, vmlinux: Path) -> str:
    """Return the build-id (hex) that `vmlinux` and the running kernel share.

    Where the file has none, their `linux_banner` has to be the same and `` is returned.
    Raises GdbFpuError when they differ or when it is not x86-64, MemoryFault when the
    kernel's memory cannot be read.
    """
    wanted = elf.build_id(vmlinux)
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


def _running_build_id(target: Memory, vmlinux: Path, further: int = 0) -> str | None:
    start, end = target.symbol_address("__start_notes"), target.symbol_address("__stop_notes")
    if start is None or end is None or not 0 < end - start <= _MAX_NOTES:
        raise CorruptState(f"{vmlinux} does not say where the kernel's notes are")
    try:
        return elf.find_build_id(target.read_memory(start + further, end - start))
    except MemoryFault as error:
        raise GdbFpuError(f"the kernel of {vmlinux} is not in memory: {_HINT}") from error


def _same_banner(target: Memory, vmlinux: Path) -> None:
    address, banner = _banner(target, vmlinux)
    if target.read_memory(address, len(banner)) != banner:
        raise GdbFpuError(f"{vmlinux} is not the kernel that runs: {_HINT}")


def _banner(target: Memory, vmlinux: Path) -> tuple[int, bytes]:
    """Return where linux_banner is by the symbols, and what the file says there."""
    address = target.symbol_address("linux_banner")
    if address is None:
        raise GdbFpuError(f"{vmlinux} has no linux_banner: is it a Linux kernel?")
    banner = elf.static_string(vmlinux, address - file_slide(target, vmlinux))
    if not banner:
        raise GdbFpuError(f"{vmlinux} has an empty linux_banner, which proves nothing: {_HINT}")
    return address, banner
