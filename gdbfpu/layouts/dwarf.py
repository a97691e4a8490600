# SPDX-License-Identifier: GPL-2.0-or-later
"""The wrapper around pyelftools: the DWARF of one file, and its units.

Sections are mapped, and not relocated: an executable needs no relocation. Abbreviations are read
only as far as needed. An attribute that is an index into a table keeps the index until someone asks
for the value, because .dwo files do not say where their tables are. Source: DWARF 5.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

from gdbfpu.errors import CorruptState, GdbFpuError
from gdbfpu.layouts.dies import INDEX, root
from gdbfpu.layouts.elf import DAMAGE
from gdbfpu.layouts.part import Part
from gdbfpu.layouts.units import TYPE_KINDS, Header, containing, read_header, read_headers
from gdbfpu.text.printable import printable

__all__ = ("Dwarf", "damage")

_EMPTY = Part(b"", 0, 0)
_MAX_SEARCHED = 4 << 30  # bytes searched for names; a section may be searched several times
# Roughly microseconds of parsing. A unit of a small kernel takes 25,000 if GCC built it, 70,000 if
# clang did, and several are read. A larger kernel has larger units.
_LEAST_PARSED, _PARSED_PER_BYTE, _MOST_PARSED = 400_000, 1 / 32, 3_000_000
_USUAL_TEXT, _LONGEST_TEXT, _LONGEST_DECLARATION = 1 << 7, 1 << 16, 1 << 12  # bytes
_IN_ABBREVIATION = "DW_FORM_implicit_const"
_FORMS = {
    "DW_FORM_strx": INDEX,
    "DW_FORM_strx1": f"{INDEX}1",
    "DW_FORM_strx2": f"{INDEX}2",
    "DW_FORM_strx3": f"{INDEX}3",
    "DW_FORM_strx4": f"{INDEX}4",
    "DW_FORM_loclistx": INDEX,
    "DW_FORM_rnglistx": INDEX,
    "DW_FORM_GNU_str_index": INDEX,
    "DW_FORM_GNU_addr_index": INDEX,
}


class Dwarf:
    """The DWARF of `file`, usable as long as the file is open.

    - `sections`: by name without `.debug_`.
    - `alternate`: the DWARF of the file that `.gnu_debugaltlink` names (dwz); `why_missing` is the
      error message if it is needed and missing.
    - `split`: whether the file is a .dwo or .dwp file; `ident`: the id of the unit in a .dwp.
    - `type_units`: finds the DIE of a type by its signature in a .dwp.
    """

    def __init__(
        self,
        file: Path,
        sections: Mapping[str, Part],
        alternate: Dwarf | None = None,
        split: bool = False,
        why_missing: str = "",
        ident: int = 0,
    ) -> None:
        self.file = file
        self.ident = ident
        self.alternate = alternate
        self.why_missing = why_missing or "a file that its DWARF refers to is missing"
        self.split = split
        self.sections = dict(sections)
        self.type_units: Callable[[int], Any] | None = None
        self.search_left = _MAX_SEARCHED
        allowed = _LEAST_PARSED + int(self.part("info").size * _PARSED_PER_BYTE)
        self._left = min(allowed, _MOST_PARSED)
        self._info = _pyelftools(self)

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        """Return the headers of all units in order; raise ValueError for damage."""
        return read_headers(self.part("info"))

    @cached_property
    def type_headers(self) -> tuple[Header, ...]:
        """Return the headers of the type units in `.debug_types`."""
        return read_headers(self.part("types"), of_types=True)

    def part(self, section: str) -> Part:
        """Return the bytes of `section` (`info`, `str`, ...), empty if it is missing."""
        return self.sections.get(section, _EMPTY)

    def unit(self, header: Header) -> Any:
        """Return the unit that starts with `header`."""
        if header.section == "types":
            return self._info.get_TU_by_sig8(header.signature)
        return self._info.get_CU_at(header.offset)

    def header_at(self, offset: int) -> Header:
        """Return the header of the unit at byte `offset` of `.debug_info`."""
        return read_header(self.part("info"), offset)

    def type_die(self, signature: int) -> Any:
        """Return the DIE of the type with `signature`; raise LookupError if there is none."""
        found = self.own_type(signature)
        if found is None and self.type_units is not None:
            found = self.type_units(signature)
        if found is None:
            raise LookupError(f"it has no type {signature:#x}")
        return found

    def own_type(self, signature: int) -> Any:
        """Return the DIE of the type with `signature` from this file's type units, or None."""
        header = self._type_units.get(signature)
        if header is None:
            return None
        return self.unit(header).get_DIE_from_refaddr(header.offset + header.type_at)

    @cached_property
    def _type_units(self) -> dict[int, Header]:
        headers = (*self.headers, *self.type_headers)
        return {header.signature: header for header in headers if header.kind in TYPE_KINDS}

    def strings_at(self, unit: Any) -> int | None:
        """Return where the table of strings of `unit` starts in `.debug_str_offsets`, or None.

        A .dwo file does not say where. It has a single table, which has no header up to DWARF 4.
        """
        base = root(unit).attributes.get("DW_AT_str_offsets_base")
        if base is not None:
            return int(base.value)
        if not self.split:
            return None
        return 0 if unit["version"] < 5 else 16 if unit.dwarf_format() == 64 else 8

    def string(self, unit: Any, index: int) -> bytes:
        """Return string number `index` of `unit` (DW_FORM_strx and similar forms)."""
        start, size = self.strings_at(unit), unit.dwarf_format() // 8
        at = self.part("str_offsets").bytes((start or 0) + index * size, size)
        if start is None or len(at) != size:
            raise ValueError(f"it has no string number {index}")
        return self.text("str", int.from_bytes(at, "little"))

    def fixed_size(self, unit: Any, forms: Iterable[str]) -> int | None:
        """Return the bytes that attributes of `forms` take in `unit`, None if that varies."""
        from elftools.construct import ConstructError

        parsers = unit.structs.Dwarf_dw_form
        try:
            return sum(int(parsers[form].sizeof()) for form in forms if form != _IN_ABBREVIATION)
        except (ConstructError, KeyError):
            return None

    def spend(self, cost: int) -> None:
        """Add `cost`, a rough time of parsing; raise ValueError when the sum is too large."""
        self._left -= cost
        if self._left < 0:
            raise ValueError("there is too much debug information to read")

    def text(self, section: str, at: int) -> bytes:
        """Return the string at byte `at` of the section `str` or `line_str`."""
        part = self.part(section)
        for most in (_USUAL_TEXT, _LONGEST_TEXT):
            found = part.bytes(at, most).partition(b"\0")
            if found[1]:
                return found[0]
        raise ValueError(f"it has no string at {at:#x}")


class _Abbreviations:
    """A table of abbreviations that is read only as far as needed."""

    def __init__(self, dwarf: Dwarf, structs: Any, at: int) -> None:
        self._dwarf, self._structs, self._at = dwarf, structs, at
        self._known: dict[int, Any] = {}

    def get_abbrev(self, code: int) -> Any:
        """Return abbreviation `code`; raise KeyError. pyelftools calls this method."""
        while code not in self._known:
            self._read_next()
        return self._known[code]

    def _read_next(self) -> None:
        from elftools.common.utils import struct_parse
        from elftools.dwarf.abbrevtable import AbbrevDecl

        stream = BytesIO(self._dwarf.part("abbrev").bytes(self._at, _LONGEST_DECLARATION))
        code = struct_parse(self._structs.Dwarf_uleb128(""), stream)
        if not code:
            raise KeyError("an abbreviation is missing")
        declaration = struct_parse(self._structs.Dwarf_abbrev_declaration, stream)
        self._dwarf.spend(8 + 2 * len(declaration["attr_spec"]))
        for spec in declaration["attr_spec"]:
            spec.form = _FORMS.get(spec.form, spec.form)
        self._known.setdefault(code, AbbrevDecl(code, declaration))
        self._at += stream.tell()


@cache
def _info_class() -> Any:
    from elftools.dwarf.dwarfinfo import DWARFInfo

    class Info(DWARFInfo):
        """pyelftools' class for a file's DWARF, with our own look-ups."""

        dwarf: Dwarf
        tables: dict[int, _Abbreviations]

        def get_abbrev_table(self, offset: int) -> Any:
            if offset not in self.tables:
                if not offset < self.dwarf.part("abbrev").size:
                    raise ValueError(f"its abbreviations do not reach to {offset:#x}")
                self.tables[offset] = _Abbreviations(self.dwarf, self.structs, offset)
            return self.tables[offset]

        def get_string_from_table(self, offset: int) -> bytes:
            return self.dwarf.text("str", offset)

        def get_string_from_linetable(self, offset: int) -> bytes:
            return self.dwarf.text("line_str", offset)

        def get_addr(self, _unit: Any, index: int) -> int:
            return index

        def get_CU_containing(self, refaddr: int) -> Any:  # noqa: N802
            return self.get_CU_at(containing(self.dwarf.headers, refaddr).offset)

        def get_DIE_by_sig8(self, sig8: int) -> Any:  # noqa: N802
            return self.dwarf.type_die(sig8)

    return Info


def _pyelftools(dwarf: Dwarf) -> Any:
    from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo

    given: dict[str, Any] = dict.fromkeys(list(inspect.signature(DWARFInfo).parameters))
    for name in ("info", "types", "abbrev", "str", "line_str"):
        part = dwarf.part(name)
        if part.size:
            given[f"debug_{name}_sec"] = DebugSectionDescriptor(
                part.stream(), name, 0, part.size, 0
            )
    given["config"] = DwarfConfig(True, "x64", 8)
    info = _info_class()(**given)
    info.dwarf, info.tables = dwarf, {}
    if dwarf.alternate is not None:
        info.supplementary_dwarfinfo = dwarf.alternate._info
    return info


@contextmanager
def damage(file: Path) -> Iterator[None]:
    """Turn any error of pyelftools about `file` into CorruptState.

    Raises GdbFpuError if pyelftools is not installed.
    """
    try:
        from elftools.common.exceptions import DWARFError, ELFError
        from elftools.construct import ConstructError
    except ImportError as error:
        raise GdbFpuError(
            "reading DWARF needs the Python package pyelftools: install it, or run `make setup`"
        ) from error

    stumbles = (AssertionError, AttributeError, NotImplementedError, RecursionError, TypeError)
    try:
        yield
    except (DWARFError, ELFError, ConstructError, *stumbles, *DAMAGE) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise CorruptState(f"{file} is damaged: {printable(said.encode()):.200}") from error
