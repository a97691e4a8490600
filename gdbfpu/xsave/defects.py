# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong with an image, one line for each defect. A damaged image is decoded anyway.

Source: Intel SDM volume 1, 13.4.2 and 13.8 (what makes XRSTOR fault), 10.2.3.1 (MXCSR_MASK).
"""

from __future__ import annotations

from collections.abc import Iterator

from gdbfpu.xsave.area import COMPACTED, RESERVED_OFFSET, Span, XsaveHeader, in_use
from gdbfpu.xsave.features import bits, component_name, describe
from gdbfpu.xsave.legacy import DEFAULT_MXCSR_MASK

__all__ = ("legacy_defects", "xsave_defects")


def legacy_defects(size: int, expected: int, mxcsr: int, mxcsr_mask: int) -> tuple[str, ...]:
    """Return the defects of a legacy region.

    `size` is how many bytes the image has, `expected` how many it should have at least. `mxcsr`
    and `mxcsr_mask` are u32.
    """
    found = []
    if size < expected:
        found.append(f"short: {size} of {expected} bytes")
    reserved = mxcsr & ~(mxcsr_mask or DEFAULT_MXCSR_MASK)
    if reserved:
        found.append(f"mxcsr is {mxcsr:#010x}: reserved bits {reserved:#x} are set")
    return tuple(found)


def xsave_defects(
    size: int, header: XsaveHeader, spans: tuple[Span, ...], compacted: bool, mask: int | None
) -> tuple[str, ...]:
    """Return the defects of an XSAVE header and of its components in an image of `size` bytes.

    `compacted` is how the image was decoded; `mask` (u64) what is enabled, None if unknown.
    """
    return (
        *_header_defects(header),
        *(_compacted_defects(header) if compacted else _standard_defects(header, mask)),
        *_place_defects(size, header, spans),
    )


def _header_defects(header: XsaveHeader) -> Iterator[str]:
    if header.xfeatures & COMPACTED:
        yield "xfeatures has its reserved bit 63 set"
    dirty = next((i for i, byte in enumerate(header.reserved) if byte), None)
    if dirty is not None:
        offset = RESERVED_OFFSET + dirty
        yield f"the header's reserved bytes are not zero, from byte {offset}"


def _compacted_defects(header: XsaveHeader) -> Iterator[str]:
    if not header.compacted:
        yield f"xcomp_bv is {header.xcomp_bv:#x}: bit 63 is clear in a compacted image"
    missing = in_use(header) & ~header.xcomp_bv
    if missing and header.compacted:
        yield f"xfeatures has {describe(missing)}, for which xcomp_bv has no room"


def _standard_defects(header: XsaveHeader, mask: int | None) -> Iterator[str]:
    if header.xcomp_bv:
        yield f"xcomp_bv is {header.xcomp_bv:#x}; in the standard format it must be 0"
    if mask is not None and in_use(header) & ~mask:
        yield f"xfeatures has {describe(in_use(header) & ~mask)}, which is not enabled"


def _place_defects(size: int, header: XsaveHeader, spans: tuple[Span, ...]) -> Iterator[str]:
    for number in bits(in_use(header) & ~sum(1 << span.number for span in spans)):
        yield f"the place of {component_name(number)} is not known"
    for span in spans:
        if span.end > size:
            state = "in use" if in_use(header) >> span.number & 1 else "initial"
            name, place = component_name(span.number), f"bytes {span.offset} to {span.end - 1}"
            yield f"short: {name} ({state}) is at {place}; the image has {size}"
    ordered = sorted(spans, key=lambda span: span.offset)
    for first, second in zip(ordered, ordered[1:]):
        if first.end > second.offset:
            names = f"{component_name(first.number)} and {component_name(second.number)}"
            yield f"{names} overlap at byte {second.offset}"
