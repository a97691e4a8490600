# SPDX-License-Identifier: GPL-2.0-or-later
"""The fence around pyelftools: one file's DWARF and its units.

Sections are mapped and not relocated, which an executable does not need; abbreviations are read
as far as they are asked for; a name or an address that is an index stays one until it is looked
up, since .dwo files do not say where their tables are. Source: DWARF 5.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
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
_MAX_SEARCHED = 4 << 30  # bytes that are searched for names; sections several times
_MAX_PARSED = 600_000  # about the microseconds of it; a unit of the kernel costs 60,000
_LONGEST_TEXT, _LONGEST_DECLARATION = 1 << 16, 1 << 12  # bytes
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
    """The DWARF of `file`: `sections` by name without `.debug_`, open as long as its file.

    `alternate` is that of the file that `.gnu_debugaltlink` names (dwz), `lacking` says why there
    is none. `split` tells that it is of a .dwo file, `ident` which of a .dwp's units. `type_units`
    finds the DIE of a type by its signature elsewhere (a .dwp).
    """

    def __init__(
        self,
        file: Path,
        sections: Mapping[str, Part],
        alternate: Dwarf | None = None,
        split: bool = False,
        lacking: str = "",
        ident: int = 0,
    ) -> None:
        self.file = file
        self.ident = ident
        self.alternate = alternate
        self.lacking = lacking or "a file that its DWARF refers to is missing"
        self.split = split
        self.sections = dict(sections)
        self.type_units: Callable[[int], Any] | None = None
        self.search_left = _MAX_SEARCHED
        self._left = _MAX_PARSED
        self._info = _pyelftools(self)

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        """Return the headers of all units, in order; raise ValueError for damage."""
        return read_headers(self.part("info"))

    @cached_property
    def type_headers(self) -> tuple[Header, ...]:
        """Return those of the type units in `.debug_types`."""
        return read_headers(self.part("types"), of_types=True)

    def part(self, section: str) -> Part:
        """Return the bytes of `section` (`info`, `str`, ...), none where it has none."""
        return self.sections.get(section, _EMPTY)

    def unit(self, header: Header) -> Any:
        """Return the unit that begins with `header`."""
        if header.section == "types":
            return self._info.get_TU_by_sig8(header.signature)
        return self._info.get_CU_at(header.offset)

    def header_at(self, offset: int) -> Header:
        """Return the header of the unit of `.debug_info` that begins at byte `offset`."""
        return read_header(self.part("info"), offset)

    def type_die(self, signature: int) -> Any:
        """Return the DIE of the type with `signature`; raise LookupError."""
        found = self.own_type(signature)
        if found is None and self.type_units is not None:
            found = self.type_units(signature)
        if found is None:
            raise LookupError(f"it has no type {signature:#x}")
        return found

    def own_type(self, signature: int) -> Any:
        """Return the DIE of the type with `signature` out of the type units here, or None."""
        header = self._type_units.get(signature)
        if header is None:
            return None
        return self.unit(header).get_DIE_from_refaddr(header.offset + header.type_at)

    @cached_property
    def _type_units(self) -> dict[int, Header]:
        headers = (*self.headers, *self.type_headers)
        return {header.signature: header for header in headers if header.kind in TYPE_KINDS}

    def strings_at(self, unit: Any) -> int | None:
        """Return where the table of strings of `unit` begins in `.debug_str_offsets`, or None.

        A .dwo file does not say: it has the one table, up to DWARF 4 without a header.
        """
        base = root(unit).attributes.get("DW_AT_str_offsets_base")
        if base is not None:
            return int(base.value)
        if not self.split:
            return None
        return 0 if unit["version"] < 5 else 16 if unit.dwarf_format() == 64 else 8

    def string(self, unit: Any, index: int) -> bytes:
        """Return the string number `index` of `unit` (DW_FORM_strx and its like)."""
        start, size = self.strings_at(unit), unit.dwarf_format() // 8
        at = self.part("str_offsets").bytes((start or 0) + index * size, size)
        if start is None or len(at) != size:
            raise ValueError(f"it has no string number {index}")
        return self.text("str", int.from_bytes(at, "little"))

    def spend(self, cost: int) -> None:
        """Count the time of parsing, roughly; raise ValueError when it is too much."""
        self._left -= cost
        if self._left < 0:
            raise ValueError("there is more debug information to look at than can be")

    def text(self, section: str, at: int) -> bytes:
        """Return the string at byte `at` of the section `str` or `line_str`."""
        part = self.part(section)
        found = part.bytes(at, _LONGEST_TEXT).partition(b"\0")
        if not found[1]:
            raise ValueError(f"it has no string at {at:#x}")
        return found[0]


class _Abbreviations:
    """A table of abbreviations that is read as far as it is asked for."""

    def __init__(self, dwarf: Dwarf, structs: Any, at: int) -> None:
        self._dwarf, self._structs, self._at = dwarf, structs, at
        self._known: dict[int, Any] = {}

    def get_abbrev(self, code: int) -> Any:
        """Return abbreviation `code` (pyelftools' name for this); raise KeyError."""
        while code not in self._known:
            self._read_next()
        return self._known[code]

    def _read_next(self) -> None:
        from elftools.common.utils import struct_parse
        from elftools.dwarf.abbrevtable import AbbrevDecl

        stream = BytesIO(self._dwarf.part("abbrev").bytes(self._at, _LONGEST_DECLARATION))
        code = struct_parse(self._structs.Dwarf_uleb128(""), stream)
        if not code:
            raise KeyError("an abbreviation that it does not have")
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
        """pyelftools' idea of a file's DWARF, with our own ways to find things in it."""

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
    """What pyelftools finds damaged in `file`, or stumbles over, is CorruptState.

    Raises GdbFpuError where pyelftools is not installed.
    """
    try:
        from elftools.common.exceptions import DWARFError, ELFError
        from elftools.construct import ConstructError
    except ImportError as error:
        raise GdbFpuError(
            "DWARF needs the Python package pyelftools: install it, or run `make setup`"
        ) from error

    stumbles = (AssertionError, AttributeError, NotImplementedError, RecursionError, TypeError)
    try:
        yield
    except (DWARFError, ELFError, ConstructError, *stumbles, *DAMAGE) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise CorruptState(f"{file} is damaged: {printable(said.encode()):.200}") from error
