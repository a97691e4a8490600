# SPDX-License-Identifier: GPL-2.0-or-later
"""The XSAVE area: its header, where each component lies, and which are not initial.

Source: Intel SDM volume 1, 13.4 (XSAVE area) and 13.6 (initial configurations of the state
components); the kernel's arch/x86/kernel/fpu/xstate.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Union

from gdbfpu.errors import CorruptState
from gdbfpu.xsave.features import BNDCSR, COMPONENTS, FPSSE, PKRU, SSE, X87, bits
from gdbfpu.xsave.legacy import (
    CONTROL_SIZE,
    INIT_FCW,
    INIT_MXCSR,
    MXCSR_MASK_OFFSET,
    MXCSR_OFFSET,
    XMM_END,
    XMM_OFFSET,
)

__all__ = (
    "ABSENT",
    "COMPACTED",
    "EXTENDED_OFFSET",
    "HEADER_OFFSET",
    "LEGACY_SIZE",
    "RESERVED_OFFSET",
    "XCOMP_OFFSET",
    "Span",
    "Table",
    "XsaveHeader",
    "changed",
    "compacted_spans",
    "in_use",
    "parse_header",
    "residue",
    "significant",
    "standard_spans",
)

LEGACY_SIZE = 512
"""Bytes of the legacy region, which has the FXSAVE layout in every format."""
HEADER_OFFSET = LEGACY_SIZE
XCOMP_OFFSET = HEADER_OFFSET + 8
RESERVED_OFFSET = HEADER_OFFSET + 16
EXTENDED_OFFSET = HEADER_OFFSET + 64
"""Where these begin: the header (with XSTATE_BV), XCOMP_BV, the reserved bytes, the components."""
COMPACTED = 1 << 63
"""XCOMP_BV[63]: the image is in the compacted format."""
ABSENT = 0xFFFFFFFF
"""What the kernel's xstate_offsets[] and xstate_sizes[] have for components that the CPU lacks."""

Table = Union[Sequence[int], Mapping[int, int]]
"""Bytes by component number: the kernel's array, or a mapping made from CPUID.(0xD,i)."""

_OFFSETS = {c.number: c.offset for c in COMPONENTS if c.offset is not None}
_SIZES = {c.number: c.size for c in COMPONENTS}
_ALIGN = {c.number: int(c.align64) for c in COMPONENTS}


@dataclass(frozen=True)
class XsaveHeader:
    """The XSAVE header: `xfeatures` (XSTATE_BV, u64), `xcomp_bv` (u64), `reserved` (48 bytes).

    Source: Intel SDM volume 1, 13.4.2; `struct xstate_header` in the kernel.
    """

    xfeatures: int
    xcomp_bv: int
    reserved: bytes

    @property
    def compacted(self) -> bool:
        """Return whether XCOMP_BV[63] says that the image is in the compacted format."""
        return bool(self.xcomp_bv & COMPACTED)


@dataclass(frozen=True)
class Span:
    """Where component `number` lies in an image: `offset` and `size` in bytes.

    The SSE component has two parts: its span is the XMM registers, and MXCSR is at byte 24.
    """

    number: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        """Return the offset of the first byte after the component."""
        return self.offset + self.size

    def bytes_of(self, image: bytes) -> bytes | None:
        """Return the component's bytes in `image`, or None where they are not all inside."""
        return image[self.offset : self.end] if self.end <= len(image) else None


def parse_header(image: bytes) -> XsaveHeader:
    """Return the header of `image` (a whole XSAVE area); raise CorruptState if it is too short."""
    if len(image) < EXTENDED_OFFSET:
        raise CorruptState(
            f"an XSAVE image has at least {EXTENDED_OFFSET} bytes; this one has {len(image)}"
        )
    return XsaveHeader(
        xfeatures=int.from_bytes(image[HEADER_OFFSET:XCOMP_OFFSET], "little"),
        xcomp_bv=int.from_bytes(image[XCOMP_OFFSET:RESERVED_OFFSET], "little"),
        reserved=bytes(image[RESERVED_OFFSET:EXTENDED_OFFSET]),
    )


def in_use(header: XsaveHeader) -> int:
    """Return the mask (u64) of components in use: XSTATE_BV without bit 63.

    The others are in their initial state, whatever memory has, except for MXCSR (SDM 13.7).
    """
    return header.xfeatures & ~COMPACTED


def standard_spans(
    mask: int, offsets: Table | None = None, sizes: Table | None = None
) -> tuple[Span, ...]:
    """Return where the components of `mask` (u64) lie in the standard format, by number.

    `offsets` and `sizes` (bytes, by component number) are used first. A component that they mark
    as absent (0xffffffff, -1 or 0) has no span. For a number that they do not have, the
    architecture's place is used, if there is one. x87 and SSE never move.
    Source: Intel SDM volume 1, 13.4.3: the offset is CPUID.(0xD,i):EBX, the size EAX.
    """
    spans = []
    for number in bits(mask & ~COMPACTED):
        own = number < 2
        offset = _entry(number, _OFFSETS if own else offsets, _OFFSETS)
        size = _entry(number, _SIZES if own else sizes, _SIZES)
        if size and (offset or own):
            spans.append(Span(number, offset or 0, size))
    return tuple(spans)


def compacted_spans(
    xcomp_bv: int, sizes: Table | None = None, align: Table | None = None
) -> tuple[Span, ...]:
    """Return where the components of `xcomp_bv` (u64) lie in the compacted format, by number.

    `sizes` (bytes) and `align` (non-zero: to 64 bytes), by component number, are used first. For a
    number that they do not have, the architecture's value is used. The walk ends at the first
    component whose size is unknown: nobody can tell where the next component is.
    Source: Intel SDM volume 1, 13.4.3: number order from byte 576, CPUID.(0xD,i):ECX[1] aligns.
    """
    spans = [*standard_spans(xcomp_bv & FPSSE)]
    position = EXTENDED_OFFSET
    for number in bits(xcomp_bv & ~COMPACTED & ~FPSSE):
        size = _entry(number, sizes, {}) or _SIZES.get(number)
        if not size:
            break
        if _entry(number, align, _ALIGN):
            position = (position + 63) & ~63
        spans.append(Span(number, position, size))
        position += size
    return tuple(spans)


def changed(
    image: bytes,
    spans: Iterable[Span],
    reference: bytes | None = None,
    reference_spans: Iterable[Span] | None = None,
) -> int:
    """Return the mask (u64) of components whose bytes in `image` differ from the initial state.

    This ignores the header, padding, reserved bytes and MXCSR_MASK. `reference` is another initial
    state: the kernel's init_fpstate. A component counts as unchanged, too, if it equals the same
    component of `reference`. `reference_spans` says where the components of `reference` are, by
    default in the same places as in `image`. A component that is not wholly inside `image` is left
    out.
    """
    spans = tuple(spans)
    like = {span.number: span for span in (reference_spans or spans)}
    mask = 0
    for span in spans:
        value = significant(image, span)
        if value is None or value == _initial(span.number, len(value)):
            continue
        other = like.get(span.number)
        if reference is None or other is None or value != significant(reference, other):
            mask |= 1 << span.number
    return mask


def residue(image: bytes, span: Span) -> tuple[int, ...]:
    """Return the offsets of the bytes of component `span` that are neither initial nor zero.

    Only a register can have left these bytes in `image`. Padding and reserved bytes are not
    checked, nor is MXCSR, which XSTATE_BV[1] does not govern. The result is empty if the component
    is not wholly inside `image`.
    """
    if span.end > len(image):
        return ()
    ranges = {X87: _X87_RANGES, SSE: _SSE_RANGES[1:]}.get(span.number)
    if ranges is None:
        ranges = ((span.offset, span.offset + _USED_SIZES.get(span.number, span.size)),)
    initial = dict(enumerate(_X87_INIT[:2])) if span.number == X87 else {}
    places = (place for start, end in ranges for place in range(start, end))
    return tuple(place for place in places if image[place] not in (0, initial.get(place, 0)))


def significant(image: bytes, span: Span) -> bytes | None:
    """Return the bytes of `span` that are state, or None if they are not all in `image`.

    For x87 these are its control words and ten bytes of each ST(i); for SSE, MXCSR and the XMM
    registers; for BNDCSR and PKRU, the bytes that the SDM defines.
    """
    data = span.bytes_of(image)
    if data is None:
        return None
    if span.number < 2:
        ranges = _SSE_RANGES if span.number else _X87_RANGES
        return b"".join(image[start:end] for start, end in ranges)
    return data[: _USED_SIZES.get(span.number, span.size)]


def _entry(number: int, table: Table | None, default: Mapping[int, int]) -> int:
    """Return `number`'s value in `table`, or else in `default`; 0 where absent or unknown."""
    value = None
    if isinstance(table, Mapping):
        value = table.get(number)
    elif table is not None and number < len(table):
        value = table[number]
    if value is None:
        value = default.get(number, 0)
    return 0 if value < 0 or value == ABSENT else value


# Some components have bytes that are not state. The ranges below list those that are. FXSAVE64:
# FCW, FSW, FTW (one byte; byte 5 is reserved), FOP, FIP, FDP; then ten bytes of each ST(i).
_STACK = range(CONTROL_SIZE, XMM_OFFSET, 16)
_X87_RANGES = ((0, 5), (6, MXCSR_OFFSET), *((start, start + 10) for start in _STACK))
_SSE_RANGES = ((MXCSR_OFFSET, MXCSR_MASK_OFFSET), (XMM_OFFSET, XMM_END))
_USED_SIZES = {BNDCSR: 16, PKRU: 4}  # BNDCFGU and BNDSTATUS; PKRU

_X87_INIT = INIT_FCW.to_bytes(23 + 80, "little")
_SSE_INIT = INIT_MXCSR.to_bytes(4 + 256, "little")


def _initial(number: int, length: int) -> bytes:
    """Return the initial state in the `length` significant bytes of component `number`."""
    return {X87: _X87_INIT, SSE: _SSE_INIT}.get(number) or bytes(length)
