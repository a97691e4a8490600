# SPDX-License-Identifier: GPL-2.0-or-later
"""Dumps of the kernel of kernel.c: compressed kdump files, flattened ones, and ELF."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Callable

import zstandard

from tests.torture.fuzz.elf_files import sections
from tests.unit import vmcore_files
from tests.unit.kernel_like import run

__all__ = (
    *("BLOCK", "DESCRIPTION", "build", "elf", "flattened", "kdump", "pages", "unflattened"),
    "vmcoreinfo",
)

BLOCK = 4096
DESCRIPTION = struct.Struct("<QIIQ")
"""struct page_desc of makedumpfile's diskdump_mod.h: offset, size, flags, page_flags."""

_HERE = Path(__file__).parent
_TEXT, _DIRECT = 0xFFFFFFFF80000000, 0xFFFF888000000000
_TOP = 0xFFFFFFFF81001000  # swapper_pg_dir, the first page of .data
_FIRST_RECORD, _LARGEST = 4096, 1 << 20  # of a flattened file
_PROGRAM = struct.Struct("<IIQQQQQQ")
_INFO = """OSRELEASE=6.1.0-fuzz
BUILD-ID={ident}
PAGESIZE=4096
SYMBOL(swapper_pg_dir)={top:x}
SYMBOL(_stext)=ffffffff81000000
NUMBER(phys_base)=0
NUMBER(pgtable_l5_enabled)=0
NUMBER(KERNEL_IMAGE_SIZE)=1073741824
KERNELOFFSET=0
"""
_HOWS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {  # status and page flag; compresses
    "zlib": (1, zlib.compress),
    "zstd": (32, zstandard.compress),
    "plain": (0, bytes),
}


def build(folder: Path) -> Path:
    """Return the vmlinux that is made of kernel.c in `folder`."""
    flags = ("-g", "-O1", "-mcmodel=kernel", "-fno-pie", "-fno-asynchronous-unwind-tables")
    link = ("-nostdlib", "-static", "-no-pie", f"-Wl,--build-id=sha1,-T,{_HERE / 'kernel.lds'}")
    mapped = (f"-fdebug-prefix-map={folder}=.", f"-ffile-prefix-map={_HERE}=.")
    run("gcc", *flags, *mapped, *link, "-o", "vmlinux", _HERE / "kernel.c", cwd=folder)
    return folder / "vmlinux"


def pages(vmlinux: bytes) -> dict[int, bytes]:
    """Return the pages of memory by number, as the program headers of `vmlinux` say."""
    table, count = int.from_bytes(vmlinux[32:40], "little"), vmlinux[56]
    found: dict[int, bytearray] = {}
    for at in range(table, table + count * _PROGRAM.size, _PROGRAM.size):
        kind, _, offset, virtual, _, size, _, _ = _PROGRAM.unpack_from(vmlinux, at)
        for i in range(size if kind == 1 else 0):
            place = virtual - _TEXT + i
            page = found.setdefault(place // BLOCK, bytearray(BLOCK))
            page[place % BLOCK] = vmlinux[offset + i]
    return {number: bytes(page) for number, page in found.items()}


def vmcoreinfo(vmlinux: bytes) -> bytes:
    """Return what this kernel says of itself."""
    notes = next(part.data for part in sections(vmlinux) if part.name == ".notes")
    return _INFO.format(ident=notes[16:36].hex(), top=_TOP).encode()


def kdump(memory: dict[int, bytes], info: bytes, how: str, without: Iterable[int] = ()) -> bytes:
    """Return a compressed kdump file of `memory`, without the pages that a filter left out.

    Source: diskdump_mod.h and IMPLEMENTATION of makedumpfile.
    """
    status, compress = _HOWS[how]
    kept, count = sorted(set(memory) - set(without)), max(memory) + 1
    bitmaps = b"".join(vmcore_files.bitmap(each) for each in (memory, kept))
    data = bytearray(_head(status, count) + _sub_head(info, count) + bitmaps)
    table = len(data)
    data += bytes(DESCRIPTION.size * len(kept))
    for i, number in enumerate(kept):
        body = compress(memory[number])
        DESCRIPTION.pack_into(data, table + DESCRIPTION.size * i, len(data), len(body), status, 0)
        data += body
    return bytes(data)


def _head(status: int, pages: int) -> bytes:
    """Return struct disk_dump_header, version 6, for bitmaps of a block each."""
    names = ("Linux", "fuzz", "6.1.0-fuzz", "#1 SMP", "x86_64", "")
    utsname = b"".join(name.encode().ljust(65, b"\0") for name in names)
    head = b"KDUMP   " + struct.pack("<i", 6) + utsname
    head = head.ljust(408, b"\0") + bytes(16)  # a struct timeval
    head += struct.pack("<IiiIIIIIIi", status, BLOCK, 1, 2, pages, 0, 0, 0, 0, 1)
    return head.ljust(BLOCK, b"\0")


def _sub_head(info: bytes, pages: int) -> bytes:
    """Return struct kdump_sub_header, and VMCOREINFO in the same block, bare and as a note."""
    note = vmcore_files.note(b"VMCOREINFO", info)
    at = BLOCK + 512
    head = struct.pack("<QiiQQQQ", 0, 31, 0, 0, 0, at, len(info))
    head += struct.pack("<QQQQQQQ", at + 512, len(note), 0, 0, 0, 0, pages)
    return (head.ljust(512, b"\0") + info.ljust(512, b"\0") + note).ljust(BLOCK, b"\0")


def elf(memory: dict[int, bytes], info: bytes, without: Iterable[int] = ()) -> bytes:
    """Return an ELF dump as /proc/vmcore has it, with headers for the text and the direct map.

    Both have the same bytes of the file. A filter left out the pages `without`, the last ones.
    """
    numbers, left = sorted(memory), set(without)
    first, size = numbers[0] * BLOCK, len(numbers) * BLOCK
    saved = b"".join(memory[number] for number in numbers if number not in left)
    loads = ((_TEXT + first, first, saved, size), (_DIRECT + first, first, b"", size))
    note = vmcore_files.note(b"VMCOREINFO", info)
    data = bytearray(vmcore_files.vmcore(*loads, notes=note))
    text, direct = (64 + _PROGRAM.size * number for number in (1, 2))
    for at in (8, 32):  # p_offset, p_filesz
        data[direct + at : direct + at + 8] = data[text + at : text + at + 8]
    return bytes(data)


def flattened(data: bytes) -> bytes:
    """Return `data` as makedumpfile -F writes it, the header last."""
    pieces = ((BLOCK, len(data) // 2), (len(data) // 2, len(data)), (0, BLOCK))
    return vmcore_files.flattened(data, *pieces)


def unflattened(data: bytes) -> bytes:
    """Return the file that `flattened` was given."""
    whole, at = bytearray(), _FIRST_RECORD
    while at + 16 <= len(data):
        offset, size = struct.unpack_from(">qq", data, at)
        if not 0 <= offset <= offset + size <= _LARGEST or size < 0:
            break
        whole.extend(bytes(max(0, offset + size - len(whole))))
        piece = data[at + 16 : at + 16 + size]
        whole[offset : offset + len(piece)] = piece
        at += 16 + size
    return bytes(whole)
