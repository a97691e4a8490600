# SPDX-License-Identifier: GPL-2.0-or-later
"""Types as GDB knows them: of parts of the kernel that have nothing to do with the FPU."""

from __future__ import annotations

from collections.abc import Iterator

import gdb

from gdbfpu.dbg.language import in_c
from gdbfpu.layouts.types import Layouts, Member, StructLayout

__all__ = ("known_types",)


def known_types(*names: str) -> Layouts:
    """Return the layouts of those structs `names` that GDB knows."""
    return Layouts(_structs(names), "GDB")


def _structs(names: tuple[str, ...]) -> Iterator[StructLayout]:
    for name in names:
        try:
            with in_c():
                found = gdb.lookup_type(f"struct {name}").strip_typedefs()
        except gdb.error:
            continue
        members = tuple(
            Member(field.name, field.bitpos // 8, field.type.sizeof)
            for field in found.fields()
            if field.name and not field.bitsize
        )
        yield StructLayout(name, found.sizeof, members)
