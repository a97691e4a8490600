# SPDX-License-Identifier: GPL-2.0-or-later
"""Find the layouts of kernel types in vmlinux's DWARF, without walking all of it.

The search starts at functions whose source files include the types. `.debug_aranges` leads from
their addresses to their compile units. If it is missing (Clang), or the unit has no types (LTO),
the search reads units that contain the functions' names, and finally units that contain the types'
names. It follows what a unit takes from others: imported units (dwz, GCC's LTO), type units, .dwo
files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from typing import Any

from gdbfpu.errors import CorruptState, GdbFpuError, MissingType
from gdbfpu.layouts.dies import children, name, referred, refers_away, root, string
from gdbfpu.layouts.dwarf import Dwarf, damage
from gdbfpu.layouts.elf import Elf, open_elf, opened
from gdbfpu.layouts.mentions import mentioning
from gdbfpu.layouts.needs import still_needed
from gdbfpu.layouts.separate import alternate_file
from gdbfpu.layouts.split import SplitFiles, debug_parts
from gdbfpu.layouts.structs import STRUCTS, Incomplete, StructReader
from gdbfpu.layouts.types import Layouts, StructLayout
from gdbfpu.layouts.units import TYPE_KINDS, Header, ranges

__all__ = ("has_dwarf", "read_layouts")

_TYPES = (*STRUCTS, "DW_TAG_typedef")
_READ = (*_TYPES, "DW_TAG_subprogram", "DW_TAG_imported_unit")
_MOST_UNITS = 24  # walked for one name
_MOST_MISSING = 100  # .dwo files; after these, stop looking for others
_MOST_WALKED = 20_000  # units, including imported ones, which dwz makes small
_MAX_DEPTH = 16  # of units that import units
_REDUCED = b"-femit-struct-debug"  # CONFIG_DEBUG_INFO_REDUCED adds this to GCC's options


def has_dwarf(vmlinux: Path) -> bool:
    """Return whether the file `vmlinux` has DWARF."""
    with opened(vmlinux) as elf:
        return _has_dwarf(elf)


def read_layouts(
    vmlinux: Path,
    wanted: Iterable[str],
    anchors: Mapping[str, int],
    needed: Iterable[str] = (),
) -> Layouts:
    """Return the layouts of the types `wanted` (tags, or names of typedefs of unnamed structs).

    `anchors` has, by name, the addresses of functions whose source files include these types. A
    type must exist if it is in `needed`, or if a member of another type has this type or points
    to this type. If any other type is not found, it is left out. Raises GdbFpuError if the file
    has no DWARF at all, MissingType if a type that must exist is missing, CorruptState for damaged
    DWARF.
    """
    with opened(vmlinux) as elf, ExitStack() as stack, damage(vmlinux):
        if not _has_dwarf(elf):
            raise GdbFpuError(
                f"{vmlinux} has no DWARF: build the kernel with CONFIG_DEBUG_INFO "
                "or install its debug package, and use that vmlinux"
            )
        dwz = alternate_file(vmlinux, elf)
        alternate = None
        if dwz.file is not None:
            shared = stack.enter_context(closing(open_elf(dwz.file, split=True)))
            alternate = Dwarf(dwz.file, debug_parts(shared))
        dwarf = Dwarf(vmlinux, debug_parts(elf), alternate, why_missing=dwz.missing)
        search = _Search(dwarf, SplitFiles(dwarf, stack), set(wanted), set(needed))
        search.run(_ranges(elf), anchors)
        missing = search.missing()
        if missing or (search.wanted and not search.found):
            names = sorted(missing) or [min(search.wanted)]
            raise MissingType(*names, why=dwz.missing or search.why())
        layouts = Layouts(search.found.values())
        common = () if dwz.file is None else (dwz.file,)
        read = dict.fromkeys((*common, *search.files))
        layouts.files = tuple(file for file in read if file != vmlinux)
    return layouts


def _has_dwarf(elf: Elf) -> bool:
    section = elf.section(".debug_info")
    return section is not None and section.present and section.size > 0


def _ranges(elf: Elf) -> bytes:
    section = elf.section(".debug_aranges")
    return elf.contents(section) if section is not None and section.present else b""


class _Search:
    """Walks units until no type is missing. `found` has the layouts by name."""

    def __init__(self, dwarf: Dwarf, split: SplitFiles, wanted: set[str], needed: set[str]) -> None:
        self.found: dict[str, StructLayout] = {}
        self.wanted, self.split = wanted, split
        self._needed, self._dwarf = needed, dwarf
        self._encoded = {text.encode(): text for text in wanted}
        self._reader = StructReader(self._note)
        self._referred: dict[bytes, Any] = {}  # types that something in a unit refers to
        self._walked: set[tuple[Path, int, Header]] = set()
        self._functions: set[bytes] = set()  # anchors that are defined in the units walked so far
        self._anchors: set[bytes] = set()
        self._reduced = self._seen = False
        self.files: dict[Path, None] = {}  # files that were read

    def missing(self) -> set[str]:
        """Return the names of types that must exist and are not found yet."""
        return still_needed(self.found, self.wanted, self._needed)

    def run(self, table: bytes, anchors: Mapping[str, int]) -> None:
        """Walk the units of `anchors`. `table` has the bytes of `.debug_aranges`, if any."""
        self._anchors = {text.encode() for text in anchors}
        for header in self._at(table, tuple(anchors.values())):
            self._walk(self._dwarf, header)
            if not self._wants_more():
                return
        if table and not self.missing():
            return
        for text in anchors:
            for dwarf, header in self._units_naming(text.encode()):
                self._walk(dwarf, header)
                if not self._wants_more():
                    return
                if text.encode() in self._functions:
                    break
        for text in sorted(self.missing()):
            for dwarf, header in self._units_naming(text.encode()):
                self._walk(dwarf, header)
                if text not in self.missing():
                    break

    def _wants_more(self) -> bool:
        return self.wanted - set(self.found) != set()

    def _at(self, table: bytes, addresses: tuple[int, ...]) -> Iterator[Header]:
        """Yield the compile units that contain `addresses`, in that order."""
        units: dict[int, int] = {}
        for start, size, unit in ranges(table):
            for address in addresses:
                if start <= address < start + size:
                    units[address] = unit
        for unit in dict.fromkeys(units[address] for address in addresses if address in units):
            yield self._dwarf.header_at(unit)

    def _units_naming(self, text: bytes) -> Iterator[tuple[Dwarf, Header]]:
        """Yield some units that contain the name `text`, and the DWARF that each belongs to."""
        for dwarf in (self._dwarf, self._dwarf.alternate):
            if dwarf is not None:
                for header in islice(mentioning(dwarf, text), _MOST_UNITS):
                    yield dwarf, header
        for skeleton in self.split.skeletons():
            if len(self.split.missing) > _MOST_MISSING:
                return
            dwarf = self.split.dwarf(skeleton)
            if dwarf is not None:
                yield from ((dwarf, header) for header in mentioning(dwarf, text))

    def _walk(self, dwarf: Dwarf, header: Header, depth: int = 0) -> None:
        """Read the wanted types of a unit and its imports; for a skeleton, from its .dwo file."""
        key = (dwarf.file, dwarf.ident, header)
        if key in self._walked or len(self._walked) >= _MOST_WALKED or depth > _MAX_DEPTH:
            return
        self._walked.add(key)
        self.files[dwarf.file] = None
        unit = dwarf.unit(header)
        if dwarf is self._dwarf and self.split.file_name(unit):
            separate = self.split.dwarf(header)
            if separate is not None:
                with damage(separate.file):
                    for each in separate.headers:
                        if each.kind not in TYPE_KINDS:
                            self._walk(separate, each, depth)
            return
        self._seen = True
        self._reduced |= _REDUCED in string(root(unit), "DW_AT_producer")
        imported = self._take_children(unit)
        self._take_referred()
        for die in imported:
            self._import(die, depth + 1)

    def _take_children(self, unit: Any) -> list[Any]:
        """Read the wanted types of `unit`; return the entries that import other units."""
        imported = []
        for die in children(root(unit), _READ):
            if die.tag == "DW_TAG_imported_unit":
                imported.append(die)
            elif die.tag == "DW_TAG_subprogram":
                if "DW_AT_declaration" not in die.attributes and name(die) in self._anchors:
                    self._functions.add(name(die))
            elif die.tag in _TYPES:
                self._take(name(die), die)
            if refers_away(die):
                self._note(referred(die))
        return imported

    def _import(self, die: Any, depth: int) -> None:
        other = referred(die, "DW_AT_import")
        if other is not None:
            dwarf = other.dwarfinfo.dwarf
            self._walk(dwarf, dwarf.header_at(other.cu.cu_offset), depth)

    def _note(self, die: Any) -> None:
        """Remember a type that something in a unit refers to."""
        if die is not None and die.tag in _TYPES:
            self._referred.setdefault(name(die), die)

    def _take_referred(self) -> None:
        """Read the wanted types that earlier types refer to. They may be in any unit."""
        while self._referred:
            self._take(*self._referred.popitem())

    def _take(self, text: bytes, die: Any) -> None:
        wanted = self._encoded.get(text)
        if wanted is None or wanted in self.found:
            return
        try:
            layout = self._reader.layout(text, die)
        except Incomplete:
            return
        except CorruptState as error:
            file = die.dwarfinfo.dwarf.file
            raise CorruptState(f"{file} is damaged: {error}") from error
        if layout is not None:
            self.found[wanted] = layout

    def why(self) -> str:
        """Return the likely reason why types are missing."""
        lost = list(dict.fromkeys(self.split.missing))
        if lost:
            return (
                f"this kernel's DWARF is in .dwo files (CONFIG_DEBUG_INFO_SPLIT), and {lost[0]}"
                f"{f' and {len(lost) - 1} more are' if len(lost) > 1 else ' is'} "
                "missing: neither in the build's directory, nor near vmlinux, nor in a .dwp file"
            )
        if self._reduced:
            return "the kernel was built with CONFIG_DEBUG_INFO_REDUCED, which leaves types out"
        if self._seen:
            return "if CONFIG_DEBUG_INFO_REDUCED left them out, rebuild without it"
        return "is it a Linux kernel with CONFIG_DEBUG_INFO?"
