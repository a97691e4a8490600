# SPDX-License-Identifier: GPL-2.0-or-later
"""DWARF in files next to the kernel: `.dwo` and `.dwp` (CONFIG_DEBUG_INFO_SPLIT).

vmlinux then has skeleton units. Each gives the name of a file, and the id of the unit in that file.
Source: DWARF 5, 7.3; for DWARF 4 the GNU extension with the attributes DW_AT_GNU_dwo_*.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from gdbfpu.errors import GdbFpuError
from gdbfpu.layouts.dies import root, string
from gdbfpu.layouts.dwarf import Dwarf, damage
from gdbfpu.layouts.elf import Elf, open_elf
from gdbfpu.layouts.part import Part
from gdbfpu.layouts.units import SKELETON, Header

__all__ = ("SplitFiles", "debug_parts")

_NAMES = ("DW_AT_dwo_name", "DW_AT_GNU_dwo_name")
_READ = (
    *("info", "types", "abbrev", "str", "line_str", "str_offsets", "addr"),
    *("cu_index", "tu_index"),
)
_INDEX = struct.Struct("<IIII")  # version, columns, units, slots
_COLUMNS = {1: "info", 2: "types", 3: "abbrev", 6: "str_offsets"}  # DW_SECT_*
_MOST_COLUMNS, _MOST_ROWS = 8, 1 << 20
_MOST_BESIDE = 4096  # files to look at in the kernel's directory


def debug_parts(elf: Elf, suffix: str = "") -> dict[str, Part]:
    """Return the DWARF sections that layouts need, by name without `.debug_` and `suffix`."""
    found = {}
    for name in _READ:
        wanted = f".debug_{name}{suffix}"
        same = (s for s in elf.sections if s.name == wanted and s.present and s.size)
        parts = [elf.part(section) for section in same]
        if len(parts) > 1:  # a .dwo file has one for each type unit
            data = b"".join(part.bytes() for part in parts)
            found[name] = Part(data, 0, len(data))
        elif parts:
            found[name] = parts[0]
    return found


class SplitFiles:
    """The .dwo files and the .dwp file of a kernel. `stack` closes the files that stay open.

    `missing` has the names of .dwo files that were not found.
    """

    def __init__(self, main: Dwarf, stack: ExitStack) -> None:
        self.missing: list[str] = []
        self._main, self._stack = main, stack
        self._package: tuple[Path, dict[str, Part]] | None = None
        self._package_sought = False
        self._types: dict[int, Any] = {}

    def skeletons(self) -> Iterator[Header]:
        """Yield the units of the kernel whose DWARF is in another file."""
        older = "addr" in self._main.sections
        for header in self._main.headers:
            if header.kind == SKELETON or (
                older and header.version < 5 and self.file_name(self._main.unit(header))
            ):
                yield header

    @staticmethod
    def file_name(unit: Any) -> bytes:
        """Return the name of the .dwo file of `unit`, empty if it is not a skeleton unit."""
        return next(filter(None, (string(root(unit), name) for name in _NAMES)), b"")

    def dwarf(self, header: Header) -> Dwarf | None:
        """Return the DWARF that the skeleton unit `header` stands for, None if it is missing.

        Raises CorruptState if the file is damaged.
        """
        top = root(self._main.unit(header))
        own = top.attributes.get("DW_AT_GNU_dwo_id")
        ident = header.signature if own is None else int(own.value)
        found = self._packaged(ident, "cu_index")
        name = self.file_name(self._main.unit(header))
        for path in () if found is not None else self._places(name, top):
            found = self._opened(path, ident)
            if found is not None:
                break
        if found is None:
            self.missing.append(os.fsdecode(name))
        return found

    def _places(self, name: bytes, top: Any) -> Iterator[Path]:
        """Yield where the file `name` may be: where the build made it, and next to the kernel."""
        try:
            file, beside = Path(os.fsdecode(name)), self._main.file.resolve().parent
            yield Path(os.fsdecode(string(top, "DW_AT_comp_dir"))) / file
            yield beside / file
            yield beside / file.name
            yield from (each / file.name for each in self._folders)
        except (OSError, ValueError):  # a name that no file can have
            return

    @cached_property
    def _folders(self) -> list[Path]:
        """Return the directories next to the kernel."""
        each = islice(self._main.file.resolve().parent.iterdir(), _MOST_BESIDE)
        return sorted(path for path in each if path.is_dir())

    def _opened(self, path: Path, ident: int) -> Dwarf | None:
        """Return the DWARF of the .dwo file `path` if it exists and has a unit with id `ident`."""
        try:
            if not path.is_file():
                return None
            elf = open_elf(path, split=True)
        except (GdbFpuError, ValueError):
            return None
        with damage(path), closing(elf):  # thousands may be read, so close each one
            parts = {name: part.copy() for name, part in debug_parts(elf, ".dwo").items()}
            dwarf = Dwarf(path, parts, split=True)
            dwarf.type_units = self._type
            return dwarf if ident in map(_ident(dwarf), dwarf.headers) else None

    def _packaged(self, ident: int, index: str) -> Dwarf | None:
        """Return the DWARF of the unit `ident` in the kernel's .dwp file, None if missing."""
        if not self._package_sought:
            self._package_sought, self._package = True, self._find_package()
        if self._package is None:
            return None
        path, parts = self._package
        with damage(path):
            row = _row(parts[index], ident) if index in parts else None
            if row is None:
                return None
            cut = {name: parts[name].part(*place) for name, place in row.items() if name in parts}
            whole: dict[str, Part] = {
                name: parts[name] for name in ("str", "line_str") if name in parts
            }
            dwarf = Dwarf(path, whole | cut, split=True, ident=ident)
        dwarf.type_units = self._type
        return dwarf

    def _find_package(self) -> tuple[Path, dict[str, Part]] | None:
        file = self._main.file
        for path in (Path(f"{file}.dwp"), file.with_suffix(".dwp")):
            if path.is_file():
                elf = open_elf(path, split=True)
                self._stack.callback(elf.close)
                with damage(path):
                    return path, debug_parts(elf, ".dwo") | debug_parts(elf)
        return None

    def _type(self, signature: int) -> Any:
        """Return the DIE of the type with `signature` in the .dwp, or None."""
        if signature not in self._types:
            dwarf = self._packaged(signature, "tu_index")
            self._types[signature] = None if dwarf is None else dwarf.own_type(signature)
        return self._types[signature]


def _ident(dwarf: Dwarf) -> Any:
    def ident(header: Header) -> int:
        if header.version >= 5:
            return header.signature
        own = root(dwarf.unit(header)).attributes.get("DW_AT_GNU_dwo_id")
        return int(own.value) if own is not None else 0

    return ident


def _row(index: Part, ident: int) -> dict[str, tuple[int, int]] | None:
    """Return offset and size in bytes, by name, of the sections of the unit `ident` in a .dwp."""
    _version, columns, units, slots = _INDEX.unpack(index.bytes(0, _INDEX.size))
    if columns > _MOST_COLUMNS or max(units, slots) > _MOST_ROWS:
        raise ValueError("its index of units is too large")
    numbers = _INDEX.size + 8 * slots
    table = numbers + 4 * slots
    wanted, at = ident.to_bytes(8, "little"), index.find(ident.to_bytes(8, "little"), _INDEX.size)
    while 0 <= at < numbers and (at - _INDEX.size) % 8:
        at = index.find(wanted, at + 1)
    if not 0 <= at < numbers:
        return None
    row = _u32(index, numbers + (at - _INDEX.size) // 2)
    if not 0 < row <= units:
        return None
    kinds = [_u32(index, table + 4 * i) for i in range(columns)]
    offsets, sizes = table + 4 * columns * row, table + 4 * columns * (row + units)
    return {
        _COLUMNS[kind]: (_u32(index, offsets + 4 * i), _u32(index, sizes + 4 * i))
        for i, kind in enumerate(kinds)
        if kind in _COLUMNS
    }


def _u32(part: Part, at: int) -> int:
    data = part.bytes(at, 4)
    if len(data) != 4:
        raise ValueError("its index of units is cut off")
    return int.from_bytes(data, "little")
