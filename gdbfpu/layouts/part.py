# SPDX-License-Identifier: GPL-2.0-or-later
"""The bytes of a section: mapped from the file, or in memory if they had to be decompressed."""

from __future__ import annotations

import mmap
from io import BytesIO
from typing import BinaryIO, NamedTuple, cast

__all__ = ("Part",)


class _Window(mmap.mmap):
    """A part of a file as a stream. The mapping starts before the part, at a page boundary."""

    _before: int

    def __new__(cls, file: int, offset: int, size: int) -> _Window:
        before = offset % mmap.ALLOCATIONGRANULARITY
        made = super().__new__(
            cls, file, before + size, access=mmap.ACCESS_READ, offset=offset - before
        )
        made._before = before
        made.seek(0)
        return made

    def seek(self, position: int) -> None:  # type: ignore[override]
        """Go to byte `position` of the part. pyelftools only seeks from the start."""
        super().seek(self._before + position)

    def tell(self) -> int:
        """Return where the next read starts, in bytes from the start of the part."""
        return super().tell() - self._before


class Part(NamedTuple):
    """The bytes of a section, or a part of it: `size` bytes of `buffer` from `start` on."""

    buffer: bytes | mmap.mmap
    start: int
    size: int
    file: int = -1

    def find(self, pattern: bytes, at: int = 0) -> int:
        """Return the offset of `pattern` at or after byte `at`, -1 if there is none."""
        found = self.buffer.find(pattern, self.start + at, self.start + self.size)
        return found - self.start if found >= 0 else found

    def bytes(self, at: int = 0, size: int | None = None) -> bytes:
        """Return `size` bytes from byte `at` on (None: all); fewer if the part ends earlier."""
        end = self.size if size is None else min(self.size, at + size)
        return self.buffer[self.start + at : self.start + end]

    def copy(self) -> Part:
        """Return a copy of this part in memory."""
        return Part(self.bytes(), 0, self.size)

    def part(self, at: int, size: int) -> Part:
        """Return `size` bytes of this part from byte `at` on; raise ValueError if outside."""
        if not 0 <= at <= at + size <= self.size:
            raise ValueError(f"{size} bytes at {at} are outside a section")
        return self._replace(start=self.start + at, size=size)

    def stream(self) -> BinaryIO:
        """Return the bytes as a stream that stays valid when the file's mapping is closed."""
        if isinstance(self.buffer, mmap.mmap) and self.file < 0 and self.size == len(self.buffer):
            return cast(BinaryIO, self.buffer)
        if self.file < 0 or not self.size:
            return BytesIO(self.bytes())
        return cast(BinaryIO, _Window(self.file, self.start, self.size))
