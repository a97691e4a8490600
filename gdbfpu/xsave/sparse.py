# SPDX-License-Identifier: GPL-2.0-or-later
"""Read only those parts of an image where components lie: a remote target is slow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Callable

from gdbfpu.ranges import joined
from gdbfpu.xsave.area import EXTENDED_OFFSET, Span

__all__ = ("read_spans",)

_GAP = 64  # bytes: reading a gap this small is faster than sending another packet


def read_spans(
    read: Callable[[int, int], bytes], address: int, size: int, spans: Iterable[Span]
) -> bytes:
    """Return the image of `size` bytes at `address`, with zeros outside `spans`.

    The legacy region and the header are always read, with `read` (address, length in bytes).
    """
    image = bytearray(size)
    parts = ((span.offset, min(span.end, size)) for span in spans if span.offset < size)
    for start, end in joined([(0, min(size, EXTENDED_OFFSET)), *parts], _GAP):
        image[start:end] = read(address + start, end - start)
    return bytes(image)
