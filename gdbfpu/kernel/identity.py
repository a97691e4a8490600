# SPDX-License-Identifier: GPL-2.0-or-later
"""Check that vmlinux is that of the running kernel, and find how far KASLR moved the kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gdbfpu.errors import CorruptState, GdbFpuError, MemoryFault, NoAnswer, WrongKernel
from gdbfpu.layouts import elf
from gdbfpu.target import Memory

__all__ = ("file_slide", "find_slide", "verify")

_MAX_NOTES = 4096  # bytes; a kernel has a few notes of a few dozen bytes
_HINT = "give GDB the vmlinux of the running kernel, or boot that kernel with nokaslr"
_STEP = 2 << 20  # KASLR moves by CONFIG_PHYSICAL_ALIGN, at least this on x86-64
_MAX_SLIDE = 1 << 30  # RANDOMIZE_BASE_MAX_OFFSET, arch/x86/include/asm/page_64_types.h


def file_slide(target: Memory, vmlinux: Path) -> int:
    """Return how many bytes the debugger's symbols lie above the addresses in `vmlinux`.

    This is 0 unless the symbols were moved, for example by `symbol-file -o`.
    """
    start, written = target.symbol_address("__start_notes"), elf.section_start(vmlinux, ".notes")
    return start - written if start is not None and written is not None else 0


def find_slide(
    target: Memory, vmlinux: Path, progress: Callable[[int, int], None] | None = None
) -> int | None:
    """Return how many bytes the running kernel lies above the addresses in `vmlinux`.

    This tries each place where the kernel can be. It starts with the place that the symbols give.
    The kernel is found where memory has the build-id of the file, or the banner if the file has no
    build-id. Returns None if no place matches: then another kernel runs, or the CPU stopped where
    the kernel's text is not mapped. Raises NoAnswer.
    """
    applied = file_slide(target, vmlinux)
    places = [applied, *(slide for slide in range(0, _MAX_SLIDE, _STEP) if slide != applied)]
    try:
        is_at = _recognizer(target, vmlinux)
    except GdbFpuError:  # the file has no banner either: `verify` says so
        return None
    for tried, slide in enumerate(places):
        try:
            if is_at(slide - applied):
                return slide
        except NoAnswer:
            raise
        except GdbFpuError:  # nothing is mapped there
            pass
        if progress is not None:
            progress(tried, len(places))
    return None


def _recognizer(target: Memory, vmlinux: Path) -> Callable[[int], bool]:
    """Return a function that tells whether the kernel lies N bytes above its symbols, given N."""
    wanted = elf.build_id(vmlinux)
    if wanted is not None:
        return lambda further: _running_build_id(target, vmlinux, further) == wanted
    address, banner = _banner(target, vmlinux)
    return lambda further: target.read_memory(address + further, len(banner)) == banner


def verify(target: Memory, vmlinux: Path) -> str:
    """Return the build-id (hex) that `vmlinux` and the running kernel share.

    If the file has no build-id, this compares `linux_banner` and returns ``. Raises WrongKernel
    if they differ, GdbFpuError if the file is not x86-64 or the kernel is not in memory there,
    MemoryFault if the banner cannot be read.
    """
    wanted = elf.build_id(vmlinux)
    if wanted is None:
        _check_banner(target, vmlinux)
        return ""
    running = _running_build_id(target, vmlinux)
    if running != wanted:
        found = f"has build-id {running}" if running else "shows no build-id"
        raise WrongKernel(
            f"{vmlinux} (build-id {wanted}) does not match the running kernel, "
            f"which {found}: {_HINT}",
            running or "",
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


def _check_banner(target: Memory, vmlinux: Path) -> None:
    address, banner = _banner(target, vmlinux)
    if target.read_memory(address, len(banner)) != banner:
        raise WrongKernel(f"{vmlinux} does not match the running kernel: {_HINT}")


def _banner(target: Memory, vmlinux: Path) -> tuple[int, bytes]:
    """Return the address of linux_banner in the symbols, and its text in the file."""
    address = target.symbol_address("linux_banner")
    if address is None:
        raise GdbFpuError(f"{vmlinux} has no linux_banner: is it a Linux kernel?")
    banner = elf.static_string(vmlinux, address - file_slide(target, vmlinux))
    if not banner:
        raise GdbFpuError(f"{vmlinux} has an empty linux_banner to compare with: {_HINT}")
    return address, banner
