# SPDX-License-Identifier: GPL-2.0-or-later
"""Dumps of kernels made by hand: ELF as /proc/vmcore and makedumpfile -E have it, and kdump."""

from __future__ import annotations

import struct

CORE, LOAD, NOTE = 4, 1, 4  # e_type; p_type
X86_64 = 62
BLOCK = 4096


def note(name, data, kind=0):
    name += b"\0"
    head = struct.pack("<III", len(name), len(data), kind)
    return head + name + bytes(-len(name) % 4) + data + bytes(-len(data) % 4)


def vmcore(*loads, notes=b""):
    """An ELF dump of `loads`: virtual address, physical address, what is saved, bytes of memory."""
    count = 1 + len(loads)
    at = 64 + 56 * count
    ident = b"\x7fELF" + bytes((2, 1, 1)).ljust(12, b"\0")
    head = struct.pack("<HHIQQQIHHHHHH", CORE, X86_64, 1, 0, 64, 0, 0, 64, 56, count, 0, 0, 0)
    table = struct.pack("<IIQQQQQQ", NOTE, 0, at, 0, 0, len(notes), len(notes), 0)
    data = notes
    for virtual, physical, saved, size in loads:
        place = at + len(data)
        table += struct.pack("<IIQQQQQQ", LOAD, 7, place, virtual, physical, len(saved), size, 0)
        data += saved
    return ident + head + table + data


def kdump(had, has):
    """The head of a kdump file, as far as its bitmaps: the numbers of the pages in each."""
    pages = max(had) + 1
    head = bytearray(BLOCK)
    head[:8] = b"KDUMP   "
    struct.pack_into("<iiII", head, 428, BLOCK, 1, 2, pages)
    return bytes(head) + bytes(BLOCK) + bitmap(had) + bitmap(has)


def bitmap(pages):
    return sum(1 << page for page in pages).to_bytes(BLOCK, "little")


def flattened(data, *pieces):
    """`data` as records: each of `pieces` is a part of it (start, end), in the order of writing."""
    out = struct.pack(">16sqq", b"makedumpfile", 1, 1).ljust(4096, b"\0")
    for start, end in pieces:
        out += struct.pack(">qq", start, end - start) + data[start:end]
    return out + struct.pack(">qq", -1, -1)


def write(folder, data):
    path = folder / "dump"
    path.write_bytes(data)
    return path
