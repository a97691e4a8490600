# SPDX-License-Identifier: GPL-2.0-or-later
"""The bytes of a section: mapped, not read, or in memory where they had to be decompressed."""

from __future__ import annotations

import mmap
from io import BytesIO
from typing import BinaryIO, NamedTuple, cast

__all__ = ("Part",)


class _Window(mmap.mmap):
    """A part of a file as a stream of its own; a mapping itself has to begin at a page."""

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
        """Go to a byte of the part; pyelftools counts from its start only."""
        super().seek(self._before + position)

    def tell(self) -> int:
        """Return the byte of the part that is read next."""
        return super().tell() - self._before


class Part(NamedTuple):
    """The bytes of a section, or some of them: `size` of `buffer` from `start` on."""

    buffer: bytes | mmap.mmap
    start: int
    size: int
    file: int = -1

    def find(self, pattern: bytes, at: int = 0) -> int:
        """Return where `pattern` is, from byte `at` on; -1 for nowhere."""
        found = self.buffer.find(pattern, self.start + at, self.start + self.size)
        return found - self.start if found >= 0 else found

    def bytes(self, at: int = 0, size: int | None = None) -> bytes:
        """Return `size` bytes from byte `at` on, or all; fewer where it ends."""
        end = self.size if size is None else min(self.size, at + size)
        return self.buffer[self.start + at : self.start + end]

    def copy(self) -> Part:
        """Return these bytes in memory."""
        return Part(self.bytes(), 0, self.size)

    def part(self, at: int, size: int) -> Part:
        """Return a part of this part; raise ValueError when it is not within it."""
        if not 0 <= at <= at + size <= self.size:
            raise ValueError(f"{size} bytes at {at} are outside of a section")
        return self._replace(start=self.start + at, size=size)

    def stream(self) -> BinaryIO:
        """Return the bytes as a stream that outlives the mapping of a file."""
        if isinstance(self.buffer, mmap.mmap) and self.file < 0 and self.size == len(self.buffer):
            return cast(BinaryIO, self.buffer)
        if self.file < 0 or not self.size:
            return BytesIO(self.bytes())
        return cast(BinaryIO, _Window(self.file, self.start, self.size))
