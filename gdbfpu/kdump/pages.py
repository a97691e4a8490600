# SPDX-License-Identifier: GPL-2.0-or-later
"""Which pages a filter left out of a compressed kdump file, as its two bitmaps say.

The first one has the pages that the machine had, the second one those that are in the file. The
file may be flattened, as QEMU writes it: then it is a list of records, each with some bytes and the
place where they belong. Source: makedumpfile's IMPLEMENTATION and diskdump_mod.h.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from weakref import finalize

__all__ = ("Pages",)

_SHIFT = 12  # of a page
_SIGNATURE = b"KDUMP   "  # of struct disk_dump_header
_SIZES = struct.Struct("<iiII")  # its block_size, sub_hdr_size, bitmap_blocks, max_mapnr
_SIZES_AT = 428
_FLATTENED = b"makedumpfile\0\0\0\0"
_FIRST_RECORD = 4096
_RECORD = struct.Struct(">qq")  # offset and size; both are -1 in the last one
_MOST_RECORDS = 1 << 22
_LARGEST_BLOCK = 1 << 20  # bytes


class Pages:
    """The pages of the kdump file `core`, which is opened when the first one is asked for."""

    def __init__(self, core: Path) -> None:
        self._core = core
        self._file = -1
        self._records: list[tuple[int, int, int]] | None = None
        self._bitmap: tuple[int, int] | None = None  # the first one's place and size

    def left_out(self, address: int, length: int) -> bool:
        """Return whether the file lacks a page of these `length` bytes that the machine had.

        `address` is physical. Returns False if the file does not tell.
        """
        try:
            if self._bitmap is None:
                self._open()
            pages = range(address >> _SHIFT, (address + length - 1 >> _SHIFT) + 1)
            return any(map(self._one, pages))
        except OSError:
            return False

    def _one(self, page: int) -> bool:
        """Return whether page number `page` was left out."""
        byte, bit = divmod(page, 8)
        place, size = self._bitmap or (0, 0)
        if byte >= size:
            return False
        had, has = (self._at(each + byte, 1) for each in (place, place + size))
        return bool(had and has and had[0] & ~has[0] & 1 << bit)

    def _open(self) -> None:
        self._bitmap = 0, 0
        self._file = os.open(self._core, os.O_RDONLY | os.O_CLOEXEC)
        finalize(self, os.close, self._file)
        if os.pread(self._file, len(_FLATTENED), 0) == _FLATTENED:
            self._records = list(self._all_records())
        head = self._at(0, _SIZES_AT + _SIZES.size)
        if head[: len(_SIGNATURE)] != _SIGNATURE or len(head) < _SIZES_AT + _SIZES.size:
            return
        block, sub_header, blocks, pages = _SIZES.unpack_from(head, _SIZES_AT)
        size = blocks // 2 * block
        if 0 < block <= _LARGEST_BLOCK and sub_header >= 0 and size * 8 >= pages:
            self._bitmap = (1 + sub_header) * block, size

    def _at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes at `offset`.

        For a flattened file, `offset` counts in the original file, which the records describe.
        """
        if self._records is None:
            return os.pread(self._file, size, offset)
        data = bytearray(size)
        for start, length, place in self._records:  # a later one replaces what is there
            first, last = max(start, offset), min(start + length, offset + size)
            if first < last:
                piece = os.pread(self._file, last - first, place + first - start)
                data[first - offset : last - offset] = piece
        return bytes(data)

    def _all_records(self) -> Iterator[tuple[int, int, int]]:
        """Yield offset and size of each record, and where its bytes are."""
        at = _FIRST_RECORD
        for _ in range(_MOST_RECORDS):
            head = os.pread(self._file, _RECORD.size, at)
            offset, size = _RECORD.unpack(head) if len(head) == _RECORD.size else (-1, -1)
            if offset < 0 or size <= 0:
                return
            at += _RECORD.size
            yield offset, size, at
            at += size
