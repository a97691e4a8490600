# SPDX-License-Identifier: GPL-2.0-or-later
"""Read of an image only where its components are: every byte costs on the wire."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Callable

from gdbfpu.xsave.area import EXTENDED_OFFSET, Span

__all__ = ("read_spans",)

_GAP = 64  # bytes: reading so much too much costs less than another packet


def read_spans(
    read: Callable[[int, int], bytes], address: int, size: int, spans: Iterable[Span]
) -> bytes:
    """Return the image of `size` bytes at `address`, zeros where it has none of `spans`.

    The legacy region and the header are always read, with `read` (address, length in bytes).
    """
    image = bytearray(size)
    start, end = 0, min(size, EXTENDED_OFFSET)
    for span in sorted(spans, key=lambda span: span.offset):
        if span.offset > end + _GAP:
            image[start:end] = read(address + start, end - start)
            start = min(span.offset, size)
        end = max(end, min(span.end, size))
    image[start:end] = read(address + start, end - start)
    return bytes(image)
