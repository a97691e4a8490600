# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the components of an XSAVE image lie: as tables say, or else as the image shows."""

from __future__ import annotations

from dataclasses import dataclass

from gdbfpu.xsave.area import (
    COMPACTED,
    Span,
    Table,
    XsaveHeader,
    compacted_spans,
    in_use,
    standard_spans,
)
from gdbfpu.xsave.cpus import Cpu, guess, room
from gdbfpu.xsave.features import FPSSE, names
from gdbfpu.xsave.formats import PACKED_MASKS, ptrace_xcr0

__all__ = ("ARCHITECTURE", "Placement", "Tables", "place_compacted", "place_standard")


@dataclass(frozen=True)
class Tables:
    """Which offsets and sizes to use.

    `source` names them (`kernel`, `CPUID`). `mask` (u64) is what is enabled (XCR0, or the
    kernel's xfeatures mask), None where unknown. `offsets`, `sizes` (bytes) and `align`
    (non-zero: to 64 bytes) are by component number; None stands for the architecture's.
    `cpu` is the vendor of the CPU, None if unknown. It matters only without `offsets`.
    """

    source: str = "architecture"
    mask: int | None = None
    offsets: Table | None = None
    sizes: Table | None = None
    align: Table | None = None
    cpu: Cpu | None = None


ARCHITECTURE = Tables()
"""No tables: the SDM's sizes, and the offsets of the CPU that the image seems to come from."""


@dataclass(frozen=True)
class Placement:
    """Where components lie: `spans`, `source` (who says so), and `notes` on what is assumed."""

    spans: tuple[Span, ...]
    source: str
    notes: tuple[str, ...] = ()


def place_standard(
    image: bytes, header: XsaveHeader, tables: Tables, size: int | None = None
) -> Placement:
    """Return where the components lie in `image`, in the standard format.

    `tables.mask` says which components the image has. If it is None, we use the XCR0 that ptrace
    puts into an image. If there is no XCR0, either, we take the components in the header and all
    others that fit (see `room`). `size` is how many bytes the area has, by default those of
    `image`; `image` may be cut.
    """
    mask = tables.mask if tables.mask is not None else ptrace_xcr0(image, header)
    used, offsets, sizes = in_use(header), tables.offsets, tables.sizes
    if offsets is None:
        return _guessed(image, header, mask, tables, size)
    if mask is None:
        return Placement(room(size or len(image), used, offsets, sizes), tables.source)
    return Placement(standard_spans(mask | used | FPSSE, offsets, sizes), tables.source)


def _guessed(
    image: bytes, header: XsaveHeader, mask: int | None, tables: Tables, size: int | None
) -> Placement:
    """Return where components lie for the CPU of `tables`, or else for the likely writer."""
    found = guess(image, mask, header, tables.cpu, tables.sizes, size)
    if found.cpu is None:
        return Placement(found.spans, tables.source)
    vendor = found.cpu.vendor
    if found.disputed:
        note = (
            f"nothing shows which CPU wrote this image, and the places of "
            f"{', '.join(names(found.disputed))} are assumed to be {vendor}'s: "
            "say --cpu, or --cpuid with the CPU's own tables"
        )
        return Placement(found.spans, f"{tables.source}, assumed to be {vendor}'s", (note,))
    reason = f" {found.reason}" if found.reason else ""
    return Placement(found.spans, f"{tables.source}, {vendor}'s{reason}")


def place_compacted(image: bytes, header: XsaveHeader, tables: Tables) -> Placement:
    """Return where the components lie in `image`, in the compacted format.

    XCOMP_BV says which components there are. Linux 4.8 and 4.9 had areas whose XCOMP_BV has bit
    63 clear. For these we take `tables.mask`, else the other bits of XCOMP_BV, else what the size
    suggests, else XSTATE_BV.
    """
    mask, source = header.xcomp_bv, tables.source
    if not header.compacted:
        mask = tables.mask or mask or PACKED_MASKS.get(len(image)) or header.xfeatures
        source = f"{source}, without XCOMP_BV[63]"
    spans = compacted_spans((mask & ~COMPACTED) | FPSSE, tables.sizes, tables.align)
    return Placement(spans, source)
