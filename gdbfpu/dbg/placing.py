# SPDX-License-Identifier: GPL-2.0-or-later
"""Move GDB's symbols to where KASLR put the kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gdbfpu.dbg.progress import Progress
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.kernel import identity

__all__ = ("place_symbols",)


def place_symbols(target: GdbTarget, vmlinux: Path, note: Callable[[str], object]) -> int | None:
    """Move the symbols of `target` to where the kernel is, and `note` it in a line.

    Returns how many bytes that is above the addresses in `vmlinux`, None if it is not found. GDB
    raises the event new_objfile when symbols move.
    """
    target.slide = identity.file_slide(target, vmlinux)
    slide = identity.find_slide(target, vmlinux, Progress("places where the kernel may be"))
    if slide is not None and slide != target.slide:
        target.move_symbols(vmlinux, slide)
        target.slide = slide
        note(f"the kernel is relocated by {slide:#x} (KASLR); symbols are moved there")
    return slide
