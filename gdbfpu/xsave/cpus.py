# SPDX-License-Identifier: GPL-2.0-or-later
"""Which vendor's CPU wrote a standard image: vendors place components differently.

Intel's CPUs have a hole where MPX was. AMD's have no hole, so all that follows AVX lies lower.
Source: CPUID leaf 0xD of CPUs of both vendors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from gdbfpu.xsave.area import (
    EXTENDED_OFFSET,
    Span,
    Table,
    XsaveHeader,
    compacted_spans,
    in_use,
    standard_spans,
)
from gdbfpu.xsave.features import (
    APX,
    AVX,
    BNDCSR,
    BNDREGS,
    FPSSE,
    HI16_ZMM,
    OPMASK,
    PKRU,
    TILECFG,
    TILEDATA,
    ZMM_HI256,
)

__all__ = ("Cpu", "Guess", "amd_offsets", "guess", "room")


class Cpu(Enum):
    """The vendors whose CPUs place components differently; Hygon places them as AMD does."""

    INTEL = "intel"
    AMD = "amd"

    @property
    def vendor(self) -> str:
        """Return the vendor's name."""
        return {Cpu.INTEL: "Intel", Cpu.AMD: "AMD"}[self]


@dataclass(frozen=True)
class Guess:
    """Where components lie, and why we think so.

    `cpu` is None if all CPUs agree. `reason` says what decided. It is empty if nothing decided;
    then `disputed` (u64) has the components that another CPU places elsewhere.
    """

    spans: tuple[Span, ...]
    cpu: Cpu | None
    reason: str = ""
    disputed: int = 0


@dataclass(frozen=True)
class _Family:
    """CPUs that place components alike: their vendor, and offsets by number (None: the SDM's)."""

    cpu: Cpu
    offsets: Mapping[int, int] | None = None


@dataclass(frozen=True)
class _Candidate:
    """Where an image has its components if `family` wrote it, and where it may end (bytes)."""

    family: _Family
    spans: tuple[Span, ...]
    ends: frozenset[int]

    @property
    def places(self) -> dict[int, int]:
        return {span.number: span.offset for span in self.spans}


def _mask(*numbers: int) -> int:
    return sum(1 << number for number in numbers)


_ALL = (1 << 63) - 1
_AVX512 = _mask(OPMASK, ZMM_HI256, HI16_ZMM)
_ONLY_INTEL = _mask(BNDREGS, BNDCSR, TILECFG, TILEDATA, APX)
_ONLY_WHEN_SET = _mask(BNDREGS, BNDCSR, APX)  # MPX is gone, and APX lies in its place


def _packed(mask: int) -> _Family:
    """Return AMD's CPUs with the components `mask` (u64), which lie one right after the other."""
    offsets = {span.number: span.offset for span in compacted_spans(mask)}
    return _Family(Cpu.AMD, {number: offsets.get(number, 0) for number in range(2, 63)})


_ZEN3, _ZEN4 = _packed(_mask(AVX, PKRU)), _packed(_mask(AVX, PKRU) | _AVX512)
_INTEL = _Family(Cpu.INTEL)


def amd_offsets(mask: int) -> Table:
    """Return the offsets (bytes, by component number) on an AMD CPU that has `mask` (u64)."""
    return (_ZEN4 if mask & _AVX512 else _ZEN3).offsets or {}


def guess(
    image: bytes,
    mask: int | None,
    header: XsaveHeader,
    cpu: Cpu | None = None,
    sizes: Table | None = None,
    size: int | None = None,
) -> Guess:
    """Return where components lie in the standard image `image`.

    `mask` (u64) is what is enabled, None if unknown. `cpu` is the vendor, None if unknown. `size`
    is how many bytes the area has, by default those of `image`; `image` may be cut.
    """
    size = len(image) if size is None else size
    used = in_use(header)
    families = _families(cpu, used | (mask or 0))
    candidates = [_candidate(family, mask, used, size, sizes) for family in families]
    by_size, by_bytes = _by_size(candidates, size), _by_bytes(candidates, image, used)
    # The size of an image whose components are not known is the weaker evidence.
    found = (by_size or by_bytes) if mask is not None else (by_bytes or by_size)
    chosen, reason = found or (candidates[0], "")
    disputed = _disputed(candidates, chosen)
    alike = all(candidate.places == chosen.places for candidate in candidates)
    if (not found and not disputed) or alike:
        return Guess(chosen.spans, cpu)
    return Guess(chosen.spans, chosen.family.cpu, reason, 0 if found else disputed)


def room(
    size: int, used: int, offsets: Table | None, sizes: Table | None = None
) -> tuple[Span, ...]:
    """Return the places in an area of `size` bytes whose mask is not known.

    We place the components of its header (`used`, u64) and all others that fit. Without a table of
    offsets, we place components of MPX and APX only if the header has them, because MPX and APX
    lie in the same place.
    """
    usual = _ALL if offsets is not None else _ALL & ~_ONLY_WHEN_SET
    fitting = [s.number for s in standard_spans(usual, offsets, sizes) if s.end <= size]
    return standard_spans(used | _mask(*fitting) | FPSSE, offsets, sizes)


def _families(cpu: Cpu | None, present: int) -> tuple[_Family, ...]:
    """Return the CPUs, of the vendor `cpu` if known, that can have the components `present`."""
    amd = (_ZEN4,) if present & _AVX512 else (_ZEN3, _ZEN4)
    if cpu is not None:
        return amd if cpu is Cpu.AMD else (_INTEL,)
    return (_INTEL,) if present & _ONLY_INTEL else (_INTEL, *amd)


def _candidate(
    family: _Family, mask: int | None, used: int, size: int, sizes: Table | None
) -> _Candidate:
    if mask is None:
        ends = (span.end for span in standard_spans(_ALL, family.offsets, sizes))
        return _Candidate(family, room(size, used, family.offsets, sizes), frozenset(ends))
    spans = standard_spans(mask | used | FPSSE, family.offsets, sizes)
    return _Candidate(family, spans, frozenset({max(span.end for span in spans)}))


def _by_size(candidates: list[_Candidate], size: int) -> tuple[_Candidate, str] | None:
    """Return the only candidate that can end at `size`."""
    found = [candidate for candidate in candidates if size in candidate.ends]
    return (found[0], "as the size shows") if len(found) == 1 else None


def _by_bytes(
    candidates: list[_Candidate], image: bytes, used: int
) -> tuple[_Candidate, str] | None:
    """Return the only candidate that has a place for all bytes that are not zero.

    This first tries the places of the components in use: a buffer is mostly zero elsewhere. Then
    it tries the places of all components, because XSAVEOPT leaves stale bytes.
    """
    for mask in (used, _ALL):
        found = [c for c in candidates if not _has_stray_bytes(image, c.spans, mask)]
        if found:
            return (found[0], "as the bytes show") if len(found) == 1 else None
    return None


def _has_stray_bytes(image: bytes, spans: tuple[Span, ...], mask: int) -> bool:
    """Return whether a byte is not zero outside the places of the components `mask`."""
    rest = bytearray(image)
    for span in spans:
        if mask >> span.number & 1 or span.number < AVX:
            end = min(span.end, len(rest))
            rest[span.offset : end] = bytes(max(0, end - span.offset))
    return any(rest[EXTENDED_OFFSET:])


def _disputed(candidates: list[_Candidate], chosen: _Candidate) -> int:
    """Return the components (u64) that another candidate places elsewhere."""
    others = [candidate.places for candidate in candidates]
    return _mask(
        *(
            span.number
            for span in chosen.spans
            if any(places.get(span.number, span.offset) != span.offset for places in others)
        )
    )
