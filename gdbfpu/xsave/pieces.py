# SPDX-License-Identifier: GPL-2.0-or-later
"""What each byte of an image is: in use, initial, stale, the header, reserved or padding."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from gdbfpu.xsave.area import EXTENDED_OFFSET, LEGACY_SIZE, Span
from gdbfpu.xsave.features import component_name
from gdbfpu.xsave.legacy import CONTROL_SIZE, MXCSR_OFFSET, SW_RESERVED_OFFSET, XMM_END, XMM_OFFSET

__all__ = ("Piece", "merged", "pieces")

_FIXED = (
    (MXCSR_OFFSET, CONTROL_SIZE, "MXCSR and its mask", "in use"),
    (XMM_END, SW_RESERVED_OFFSET, "reserved", "reserved"),
    (SW_RESERVED_OFFSET, LEGACY_SIZE, "software", "padding"),
)
_ST_STARTS = range(CONTROL_SIZE, XMM_OFFSET, 16)  # of each ST(i)
_PADDING = [
    (5, 6),
    *((start + 10, start + 16) for start in _ST_STARTS),
]  # bytes of an FXSAVE64 image that belong to no register


@dataclass(frozen=True)
class Piece:
    """Consecutive bytes of one kind in an area: `start` to `end` (exclusive), of `component`.

    `kind` is `in use`, `initial` (the header's bit is clear, and the bytes are initial), `stale`,
    `header`, `reserved` or `padding`. `dirty` is the number of bytes that should be zero and are
    not.
    """

    start: int
    end: int
    component: str
    kind: str
    dirty: int


def pieces(
    image: bytes, spans: Iterable[Span], used: int, header: bool, stale: Container[int]
) -> tuple[Piece, ...]:
    """Return the pieces of `image`, in order.

    `spans` says where the components are, `used` (a mask, u64) which of them are in use, `header`
    whether there is an XSAVE header, `stale` which bytes are stale.
    """
    kinds = [("padding", "")] * len(image)
    for start, end, component, kind in _regions(spans, used, header):
        for at in range(start, min(end, len(kinds))):
            kinds[at] = ("stale" if at in stale else kind, component)
    return tuple(_pieces(kinds, image))


def merged(found: Sequence[Piece]) -> list[Piece]:
    """Return the pieces, with small ones of x87 merged if the padding between them is clean."""
    done: list[Piece] = []
    for piece in found:
        last = done[-1] if done else None
        if last and last.component == piece.component == "x87" and not piece.dirty + last.dirty:
            kind = last.kind if piece.kind == "padding" else piece.kind
            done[-1] = Piece(last.start, piece.end, "x87", kind, 0)
        else:
            done.append(piece)
    return done


def _regions(spans: Iterable[Span], used: int, header: bool) -> Iterator[tuple[int, int, str, str]]:
    """Yield start, end, component and kind of regions; later regions cover earlier ones."""
    for span in spans:
        kind = "in use" if used >> span.number & 1 else "initial"
        yield span.offset, span.end, component_name(span.number), kind
    for start, end, name, kind in _FIXED:
        yield start, end, name, kind
    for start, end in _PADDING:
        yield start, end, "x87", "padding"
    if header:
        yield LEGACY_SIZE, EXTENDED_OFFSET, "", "header"


def _pieces(kinds: Sequence[tuple[str, str]], image: bytes) -> Iterator[Piece]:
    for (kind, component), group in groupby(range(len(kinds)), key=lambda at: kinds[at]):
        places = list(group)
        start, end = places[0], places[-1] + 1
        dirty = sum(map(bool, image[start:end])) if kind in ("stale", "reserved", "padding") else 0
        yield Piece(start, end, component, kind, dirty)
