# SPDX-License-Identifier: GPL-2.0-or-later
"""Decompress debug sections: zlib in ELF's format and in GNU's older one, and zstd.

Sources: the System V ABI (SHF_COMPRESSED, Elf64_Chdr); binutils' bfd/compress.c for `.zdebug_*`
sections, which start with `ZLIB` and a big-endian size.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from contextlib import suppress

from gdbfpu.errors import GdbFpuError

__all__ = ("MAX_BYTES", "decompressed", "decompressed_gnu")

MAX_BYTES = 320 << 20
"""How many bytes the decompressed sections of one file may have in total."""

_HEADER = struct.Struct("<IIQQ")  # Elf64_Chdr
_GNU_HEADER = struct.Struct(">4sQ")
_ZLIB, _ZSTD = 1, 2  # ch_type
_CHUNK = 64 << 10


def decompressed(data: bytes, most: int) -> mmap.mmap:
    """Return the contents of a section with SHF_COMPRESSED, at most `most` bytes.

    Raises ValueError and zlib.error for damage, ValueError for more than `most` bytes, and
    GdbFpuError if the Python package for zstd is needed and missing.
    """
    kind, _, size, _ = _HEADER.unpack_from(data)
    body = memoryview(data)[_HEADER.size :]
    if kind not in (_ZLIB, _ZSTD):
        raise ValueError(f"a section has compression type {kind}, which is neither zlib nor zstd")
    return (_zstd if kind == _ZSTD else _zlib)(body, _room(size, most))


def decompressed_gnu(data: bytes, most: int) -> mmap.mmap:
    """Return the contents of a `.zdebug_*` section; see `decompressed`."""
    magic, size = _GNU_HEADER.unpack_from(data)
    if magic != b"ZLIB":
        raise ValueError("a .zdebug_* section does not start with ZLIB")
    return _zlib(memoryview(data)[_GNU_HEADER.size :], _room(size, most))


def _room(size: int, most: int) -> mmap.mmap:
    """Return empty memory for `size` bytes; raise ValueError if that is more than `most`."""
    if not 0 < size <= most:
        raise ValueError(
            f"a compressed section claims to have {size} bytes: "
            "decompress the file with `objcopy --decompress-debug-sections`"
        )
    room = mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_HUGEPAGE"):  # faults on 4 KiB pages take as long as decompression
        with suppress(OSError):  # this kernel has no huge pages
            room.madvise(mmap.MADV_HUGEPAGE)
    return room


def _zlib(body: memoryview, room: mmap.mmap) -> mmap.mmap:
    stream, size = zlib.decompressobj(), len(room)
    for at in range(0, len(body), _CHUNK):
        piece: bytes | memoryview = body[at : at + _CHUNK]
        while piece and room.tell() < size:
            room.write(stream.decompress(piece, min(1 << 20, size - room.tell())))
            piece = stream.unconsumed_tail
    return _whole(room)


def _zstd(body: memoryview, room: mmap.mmap) -> mmap.mmap:
    try:
        import zstandard
    except ImportError as error:
        raise GdbFpuError(
            "debug sections compressed with zstd need the Python package zstandard: install it, "
            "or run `make setup`"
        ) from error
    try:
        reader = zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True)
        while data := reader.read(min(1 << 20, len(room) - room.tell())):
            room.write(data)
    except zstandard.ZstdError as error:
        raise ValueError(f"a section compressed with zstd: {error}") from error
    return _whole(room)


def _whole(room: mmap.mmap) -> mmap.mmap:
    if room.tell() != len(room):
        raise ValueError("a compressed section is cut off")
    room.seek(0)
    return room
