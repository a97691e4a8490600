# SPDX-License-Identifier: GPL-2.0-or-later
"""Collect the registers of hits for a page: each value once, up to a size."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from gdbfpu.report.event_images import ImageReader, spans_of
from gdbfpu.report.event_lines import Header
from gdbfpu.xsave.area import residue
from gdbfpu.xsave.components.views import Register
from gdbfpu.xsave.features import FPSSE
from gdbfpu.xsave.image import FpuImage
from gdbfpu.xsave.live import source_of
from gdbfpu.xsave.pieces import merged, pieces
from gdbfpu.xsave.text import register_row, summary

__all__ = ("MAX_SIZE", "PageImages")

MAX_SIZE = 2_500_000
"""The most characters of a page that the registers take; later hits have none."""

_HEX_COST = 16  # how many digits of an image count as much as a character of the page


class PageImages:
    """The register images of the hits of an event file, decoded. `full`: there were too many."""

    def __init__(self, header: Header) -> None:
        self._reader = ImageReader(header)
        self._images: dict[tuple[str, tuple[tuple[str, bytes], ...]], int] = {}
        self._decoded: list[tuple[int, int, list[int]]] = []
        self._heads: dict[str, int] = {}
        self._rows: dict[tuple[Any, ...], int] = {}
        self._maps: dict[tuple[Any, ...], int] = {}
        self._size = 0
        self.full = False

    def add(self, raw: str, live: Mapping[str, bytes]) -> int:
        """Return the number of the image `raw` (hex); -1 if there is no more room.

        `live` has the registers that a CPU had. Raises CorruptState if it is not an image.
        """
        key = raw, tuple(live.items())
        known = self._images.get(key)
        if known is not None:
            return known
        if self._size >= MAX_SIZE:
            self.full = True
            return -1
        data, memory = self._reader.read(raw)
        image = self._reader.read_live(raw, live)
        head = self._numbered(self._heads, summary(image))
        place = self._numbered(self._maps, _map(data, memory))
        rows = [self._numbered(self._rows, _row(one, live)) for one in image.registers]
        self._decoded.append((head, place, rows))
        self._size += 5 * len(rows) + len(raw) // _HEX_COST
        return self._images.setdefault(key, len(self._images))

    def _numbered(self, table: dict[Any, int], key: Any) -> int:
        """Return the number of `key` in `table`, and count its characters if it is new."""
        if key not in table:
            self._size += len(str(key))
            table[key] = len(table)
        return table[key]

    def to_json(self) -> dict[str, Any]:
        """Return the images, and the tables of what they refer to by number."""
        return {
            "images": self._decoded,
            "heads": list(self._heads),
            "registers": list(self._rows),
            "maps": list(self._maps),
        }


def _row(register: Register, live: Collection[str]) -> tuple[str, str, str, int, str]:
    """Return what the page shows of a register: whether it holds anything, where it was read."""
    held = int(any(register.raw) and not register.initial)
    return (*register_row(register), held, source_of(register.name, live) if live else "")


def _map(data: bytes, image: FpuImage) -> tuple[tuple[int, int, str, str, int], ...]:
    """Return what each byte of the image is: start, end, component, kind, bytes not zero."""
    spans = spans_of(image)
    header = image.xfeatures is not None
    used = FPSSE if image.xfeatures is None else image.xfeatures
    idle = (span for span in spans if not used >> span.number & 1)
    stale = {place for span in idle for place in residue(data, span)}
    found = merged(pieces(data, spans, used, header, stale))
    return tuple((p.start, p.end, p.component, p.kind, p.dirty) for p in found)
