# SPDX-License-Identifier: GPL-2.0-or-later
"""The event file: JSON Lines, first a header, then one object per hit.

Each line is flushed at once, so a killed session loses at most the line being written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gdbfpu.errors import writing

__all__ = ("SCHEMA", "EventWriter")

SCHEMA = 1
"""The version of the event file's format. It increases when a key changes its meaning."""


class EventWriter:
    """Writes a new event file. It never overwrites an existing file."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self._whole = 0  # bytes of whole lines
        with writing(path):
            self._stream = path.open("xb", buffering=0)
            try:
                self.write({"schema": SCHEMA, **header})
            except OSError:
                self.close()
                path.unlink()
                raise

    def write(self, event: Mapping[str, Any]) -> None:
        """Append one whole line, or nothing; raise OSError when the disk is full."""
        line = (json.dumps(event, ensure_ascii=True) + "\n").encode("ascii")
        rest, whole = line, self._whole + len(line)
        try:
            while rest:
                rest = rest[self._stream.write(rest) or 0 :]
            self._whole = whole
        finally:
            if rest:
                self._stream.truncate(self._whole)
                self._stream.seek(self._whole)

    def close(self) -> None:
        """Close the file. Every line in it is whole."""
        self._stream.close()
