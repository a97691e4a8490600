# SPDX-License-Identifier: GPL-2.0-or-later
"""Read of an image only where its components are: every byte costs on the wire."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Callable

from gdbfpu.ranges import joined
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
    parts = ((span.offset, min(span.end, size)) for span in spans if span.offset < size)
    for start, end in joined([(0, min(size, EXTENDED_OFFSET)), *parts], _GAP):
        image[start:end] = read(address + start, end - start)
    return bytes(image)
