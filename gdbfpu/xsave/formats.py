# SPDX-License-Identifier: GPL-2.0-or-later
"""Which format an image has, and where its components lie: from tables, or as well as can be."""

from __future__ import annotations

from dataclasses import dataclass

from gdbfpu.errors import UsageError
from gdbfpu.xsave.area import (
    COMPACTED,
    EXTENDED_OFFSET,
    LEGACY_SIZE,
    Span,
    Table,
    XsaveHeader,
    compacted_spans,
    parse_header,
    standard_spans,
)
from gdbfpu.xsave.features import APX, BNDCSR, BNDREGS, COMPONENTS, FPSSE
from gdbfpu.xsave.legacy import FSAVE_SIZE, SW_RESERVED_OFFSET
from gdbfpu.xsave.sigframe import FREGS_SIZE, MAGIC1

__all__ = (
    "ARCHITECTURE",
    "FORMATS",
    "Placement",
    "Tables",
    "detect",
    "place_compacted",
    "place_standard",
)

FORMATS = ("standard", "compacted", "fxsave", "fsave", "sigframe")
"""The formats of an image, as `--image` names them (beside `auto`)."""

_XCR0_OFFSET = SW_RESERVED_OFFSET  # where ptrace and core dumps put XCR0 (NT_X86_XSTATE)
# AMD's standard format has no hole for MPX: the components follow one another, as in the
# compacted format. These are the XCR0 values whose sizes tell it (Zen 3, Zen 4).
_PACKED_MASKS = {840: 0x207, 2432: 0x0E7, 2440: 0x2E7}
_ONLY_WHEN_SET = {BNDREGS, BNDCSR, APX}  # MPX is gone, and APX lies in its place


@dataclass(frozen=True)
class Tables:
    """Whose sizes and places to use.

    `source` names them (`kernel`, `CPUID`); `mask` (u64) is what is enabled (XCR0, or the
    kernel's xfeatures mask), None where unknown; `offsets`, `sizes` (bytes) and `align`
    (non-zero: to 64 bytes) are by component number, None for the architecture's.
    """

    source: str = "architecture"
    mask: int | None = None
    offsets: Table | None = None
    sizes: Table | None = None
    align: Table | None = None


ARCHITECTURE = Tables()
"""Nothing but the defaults of the SDM."""


@dataclass(frozen=True)
class Placement:
    """Where components lie: `spans`, and `source`, which says who told."""

    spans: tuple[Span, ...]
    source: str


def detect(image: bytes) -> tuple[str, str]:
    """Return the format of `image` and how it was decided; raise UsageError if none is certain."""
    size = len(image)
    for offset in (SW_RESERVED_OFFSET, FREGS_SIZE + SW_RESERVED_OFFSET):
        if int.from_bytes(image[offset : offset + 4], "little") == MAGIC1:
            return "sigframe", f"FP_XSTATE_MAGIC1 is at byte {offset}"
    by_size = {FSAVE_SIZE: "fsave", FREGS_SIZE: "sigframe", LEGACY_SIZE: "fxsave"}
    if size in by_size:
        return by_size[size], f"it has {size} bytes"
    if size < EXTENDED_OFFSET:
        raise UsageError(f"cannot tell the format of {size} bytes; {_ask(FORMATS)}")
    header = parse_header(image)
    if header.compacted:
        return "compacted", "XCOMP_BV[63] is set"
    if _told_xcr0(image, header) is not None:
        return "standard", f"XCOMP_BV[63] is clear and XCR0 is at byte {_XCR0_OFFSET}"
    if size in _PACKED_MASKS:
        raise UsageError(
            f"{size} bytes without XCOMP_BV[63] can be two formats; "
            f"{_ask(('standard', 'compacted'))}"
        )
    return "standard", "XCOMP_BV[63] is clear"


def place_standard(image: bytes, header: XsaveHeader, tables: Tables) -> Placement:
    """Return where the components lie in `image`, in the standard format.

    The mask comes from `tables`, else from the XCR0 that ptrace left in the image, else from
    the header and what there is room for. Without `tables.offsets` the places are Intel's,
    or packed ones (AMD's) where only these end at the image's size.
    """
    size = len(image)
    mask = tables.mask if tables.mask is not None else _told_xcr0(image, header)
    source = tables.source
    if mask is None and tables.offsets is None:
        mask = _PACKED_MASKS.get(size)
    mask = (_guess_mask(header, size) if mask is None else mask) | header.xfeatures | FPSSE
    offsets = tables.offsets
    if offsets is None:
        packed = compacted_spans(mask, tables.sizes)
        ends = max(span.end for span in standard_spans(mask, None, tables.sizes))
        if ends != size and packed[-1].end == size:
            offsets = {span.number: span.offset for span in packed}
            source = f"{source}, packed as the size tells"
    return Placement(standard_spans(mask, offsets, tables.sizes), source)


def place_compacted(image: bytes, header: XsaveHeader, tables: Tables) -> Placement:
    """Return where the components lie in `image`, in the compacted format.

    XCOMP_BV tells. Where its bit 63 is clear (Linux 4.8 and 4.9 had such areas), `tables.mask`
    does, else the size, else XSTATE_BV.
    """
    mask, source = header.xcomp_bv, tables.source
    if not header.compacted:
        told = tables.mask or mask or _PACKED_MASKS.get(len(image))
        mask = told or header.xfeatures
        source = f"{source}, without XCOMP_BV[63]"
    spans = compacted_spans((mask & ~COMPACTED) | FPSSE, tables.sizes, tables.align)
    return Placement(spans, source)


def _ask(choices: tuple[str, ...]) -> str:
    return f"say --image {' or '.join((', '.join(choices[:-1]), choices[-1]))}"


def _told_xcr0(image: bytes, header: XsaveHeader) -> int | None:
    """Return XCR0 where ptrace put it, or None where those bytes cannot be it."""
    value = int.from_bytes(image[_XCR0_OFFSET : _XCR0_OFFSET + 8], "little")
    plausible = value & FPSSE == FPSSE and value < 1 << 20 and not header.xfeatures & ~value
    return value if plausible else None


def _guess_mask(header: XsaveHeader, size: int) -> int:
    """Return the components that the header has, and the usual ones that there is room for."""
    return header.xfeatures | sum(
        1 << c.number
        for c in COMPONENTS
        if c.offset is not None and c.offset + c.size <= size and c.number not in _ONLY_WHEN_SET
    )
