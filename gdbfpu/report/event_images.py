# SPDX-License-Identifier: GPL-2.0-or-later
"""Decode the register image in a hit's line of an event file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gdbfpu.errors import CorruptState, UsageError
from gdbfpu.report.event_lines import Header
from gdbfpu.report.event_values import string
from gdbfpu.xsave.area import Span
from gdbfpu.xsave.decode import decode
from gdbfpu.xsave.formats import FORMATS
from gdbfpu.xsave.image import FpuImage
from gdbfpu.xsave.live import overlaid

__all__ = ("ImageReader", "live_registers", "spans_of")

_MOST = 128  # registers; there are no more


class ImageReader:
    """Decodes the images of hits, in the format that the `header` of their file names."""

    def __init__(self, header: Header) -> None:
        self._format = header.xsave_format if header.xsave_format in FORMATS else "auto"

    def read(self, raw: str) -> tuple[bytes, FpuImage]:
        """Return the bytes that `raw` (hex) spells, and what they hold; raise CorruptState."""
        try:
            data = bytes.fromhex(raw)
            return data, decode(data, format=self._format)
        except (ValueError, UsageError) as error:
            raise CorruptState(f"`raw` is not an image: {error}") from error

    def read_live(self, raw: str, live: Mapping[str, bytes]) -> FpuImage:
        """Return what `raw` holds, with the registers `live` of the CPU in place of its own.

        Raises CorruptState.
        """
        data, image = self.read(raw)
        if not live:
            return image
        return decode(overlaid(data, spans_of(image), live), format=self._format)


def live_registers(event: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the registers that the CPU had at the hit, by name; raise CorruptState."""
    given = event.get("registers", {})
    if type(given) is not dict or len(given) > _MOST:
        raise CorruptState("`registers` is not an object of registers")
    try:
        return {name: bytes.fromhex(string("registers", value)) for name, value in given.items()}
    except ValueError as error:
        raise CorruptState(f"`registers` has no bytes: {error}") from error


def spans_of(image: FpuImage) -> tuple[Span, ...]:
    """Return where the components are whose place in `image` is known."""
    return tuple(
        Span(one.number, one.offset, one.size)
        for one in image.components
        if one.offset is not None and one.size is not None
    )
