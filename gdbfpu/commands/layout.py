# SPDX-License-Identifier: GPL-2.0-or-later
"""`gdbfpu layout`: show the layouts of the types that gdbfpu reads, from one vmlinux."""

from __future__ import annotations

from collections.abc import Iterator

from gdbfpu.commands.layout_options import LayoutOptions
from gdbfpu.commands.model import file_layouts, helpers_here
from gdbfpu.commands.output import standard_output
from gdbfpu.layouts import elf
from gdbfpu.layouts.types import Layouts, Member
from gdbfpu.text.json_text import json_text
from gdbfpu.text.table import table

__all__ = ("layout_text",)


def layout_text(options: LayoutOptions) -> str:
    """Return the layouts in a vmlinux, as a table or JSON; raise GdbFpuError."""
    vmlinux = options.vmlinux
    layouts = file_layouts(vmlinux, helpers_here())
    build_id = elf.build_id(vmlinux) or ""
    screen = standard_output()
    if options.format == "json":
        return json_text({"build_id": build_id, **layouts.to_json()}, screen)
    headers = ("type", "member", "offset", "size", "what")
    align = ("left", "left", "right", "right", "left")
    lines = table(_rows(layouts), headers, align, screen)
    return f"{lines}\n\nlayouts from {layouts.origin}; build-id {build_id or 'none'}"


def _rows(layouts: Layouts) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield a row for each type and for each of its members; offsets and sizes are bytes."""
    for name in layouts.names():
        struct = layouts.struct(name)
        yield name, "", "", str(struct.size), ""
        for m in struct.members:
            yield name, m.name, str(m.offset), str(m.size), _what(m)


def _what(member: Member) -> str:
    """Return what the layouts tell about a member: `fpstate *`, `[16]`, `bits 3 to 4`."""
    words = [member.type] if member.type else []
    if member.pointer:
        words.append("*")
    if member.count is not None:
        words.append(f"[{member.count}]")
    if member.bit_offset is not None and member.bit_size is not None:
        words.append(f"bits {member.bit_offset} to {member.bit_offset + member.bit_size - 1}")
    return " ".join(words)
