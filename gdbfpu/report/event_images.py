# SPDX-License-Identifier: GPL-2.0-or-later
"""Decode the register image in a hit's line of an event file."""

from __future__ import annotations

from gdbfpu.errors import CorruptState, UsageError
from gdbfpu.report.event_lines import Header
from gdbfpu.xsave.decode import decode
from gdbfpu.xsave.formats import FORMATS
from gdbfpu.xsave.image import FpuImage

__all__ = ("ImageReader",)


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
