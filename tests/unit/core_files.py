# SPDX-License-Identifier: GPL-2.0-or-later
"""Core files made by hand: a program header, and notes as the kernel's fs/binfmt_elf.c has them."""

from __future__ import annotations

import struct

PRSTATUS, PRFPREG, PRXFPREG, XSTATE, LAYOUT = 1, 2, 0x46E62B7F, 0x202, 0x205


def note(name, kind, data):
    name += b"\0"
    head = struct.pack("<III", len(name), len(data), kind)
    return (
        head
        + name.ljust(-len(name) % 4 + len(name), b"\0")
        + data.ljust(-len(data) % 4 + len(data), b"\0")
    )


def prstatus(lwp, bits=64):
    """struct elf_prstatus: pr_pid is behind three ints, a short, and two longs."""
    place, size = (32, 336) if bits == 64 else (24, 144)
    return note(
        b"CORE", PRSTATUS, lwp.to_bytes(4, "little").rjust(place + 4, b"\0").ljust(size, b"\0")
    )


def xstate(image):
    return note(b"LINUX", XSTATE, bytes(image))


def layout(*rows):
    """struct x86_xfeat_component: number, size, offset, flags (u32 each)."""
    return note(b"LINUX", LAYOUT, b"".join(struct.pack("<IIII", *row, 0) for row in rows))


def core(*notes, bits=64, kind=4, machine=62, sizes=None, gap=0):
    """A core file; `sizes` are what its program header says instead of the truth."""
    data = b"".join(notes)
    head, each = (64, 56) if bits == 64 else (52, 32)
    at = head + each + gap
    offset, size = sizes or (at, len(data))
    ident = b"\x7fELF" + bytes((2 if bits == 64 else 1, 1, 1)).ljust(12, b"\0")
    if bits == 64:
        elf = struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, 0, head, 0, 0, head, each, 1, 0, 0, 0)
        program = struct.pack("<IIQQQQQQ", 4, 0, offset, 0, 0, size, 0, 4)
    else:
        elf = struct.pack("<HHIIIIIHHHHHH", kind, machine, 1, 0, head, 0, 0, head, each, 1, 0, 0, 0)
        program = struct.pack("<IIIIIIII", 4, offset, 0, 0, size, 0, 0, 4)
    return ident + elf + program + bytes(gap) + data
