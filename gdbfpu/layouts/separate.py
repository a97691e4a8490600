# SPDX-License-Identifier: GPL-2.0-or-later
"""Find the files that have a kernel's debug information apart from the kernel.

`.gnu_debuglink` has the name and the CRC of a debug file. /usr/lib/debug has debug files by
build-id. `.gnu_debugaltlink` names the file with the parts that dwz found in several files. Source:
GDB's manual, Separate Debug Files.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gdbfpu.errors import GdbFpuError
from gdbfpu.layouts.elf import Elf, open_elf, opened

__all__ = ("DEBUG_ROOT", "Alternate", "alternate_file", "debug_files")

DEBUG_ROOT = Path("/usr/lib/debug")
"""Where distributions put debug files."""

_CHUNK = 1 << 20


class Alternate(NamedTuple):
    """The file that `.gnu_debugaltlink` names: `file`, or in `missing` the error message."""

    file: Path | None
    missing: str


def debug_files(vmlinux: Path) -> Iterator[Path]:
    """Yield the separate debug files that exist and belong to the file `vmlinux`.

    Raises GdbFpuError if `vmlinux` is not a kernel.
    """
    with opened(vmlinux) as elf:
        ident = elf.build_id() or ""
        link = _link(elf)
    folder = vmlinux.resolve().parent
    if len(ident) > 2:
        yield from _with_build_id(_by_id(ident), ident)
    if link is not None:
        name, crc = link
        places = (folder, folder / ".debug", DEBUG_ROOT / folder.relative_to("/"))
        for place in places:
            file = place / name
            if file != vmlinux.resolve() and _belongs(file, ident, crc):
                yield file


def alternate_file(file: Path, elf: Elf) -> Alternate:
    """Return the file named by `.gnu_debugaltlink` of `elf`, the open `file`."""
    section = elf.section(".gnu_debugaltlink")
    if section is None:
        return Alternate(None, "")
    name, _, ident = elf.contents(section).partition(b"\0")
    text = os.fsdecode(name)
    folder = file.resolve().parent
    places = (folder / text, folder / ".dwz" / Path(text).name, _by_id(ident.hex()))
    for place in (*places, DEBUG_ROOT / ".dwz" / Path(text).name):
        if next(_with_build_id(place, ident.hex()), None) is not None:
            return Alternate(place, "")
    return Alternate(
        None, f"its DWARF needs the common file {text!r} (.gnu_debugaltlink), which is missing"
    )


def _link(elf: Elf) -> tuple[str, int] | None:
    """Return the name and the CRC-32 in `.gnu_debuglink`, or None."""
    section = elf.section(".gnu_debuglink")
    if section is None or not section.present:
        return None
    data = elf.contents(section)
    name = data.partition(b"\0")[0]
    at = len(name) + 4 & ~3
    if not name or b"/" in name or len(data) < at + 4:
        return None
    return os.fsdecode(name), int.from_bytes(data[at : at + 4], "little")


def _by_id(ident: str) -> Path:
    return DEBUG_ROOT / ".build-id" / ident[:2] / f"{ident[2:]}.debug"


def _with_build_id(file: Path, ident: str) -> Iterator[Path]:
    """Yield `file` if it exists and has the build-id `ident`."""
    if _id_of(file) == ident:
        yield file


def _id_of(file: Path) -> str | None:
    try:
        if not file.is_file():
            return None
        elf = open_elf(file, split=True)  # dwz writes a relocatable object
        try:
            return elf.build_id()
        finally:
            elf.close()
    except (GdbFpuError, ValueError, OSError):
        return None


def _belongs(file: Path, ident: str, crc: int) -> bool:
    """Return whether `file` has the build-id `ident`; without build-ids, compare the CRC."""
    try:
        if not file.is_file():
            return False
    except (OSError, ValueError):
        return False
    found = _id_of(file)
    return found == ident if ident and found else _crc(file) == crc


def _crc(file: Path) -> int | None:
    found = 0
    try:
        with file.open("rb") as stream:
            while data := stream.read(_CHUNK):
                found = zlib.crc32(data, found)
    except OSError:
        return None
    return found
