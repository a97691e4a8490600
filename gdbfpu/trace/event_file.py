# SPDX-License-Identifier: GPL-2.0-or-later
"""The event file: JSON Lines, a header first, then one object per hit, each line written at once.

A killed session loses at most the line being written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gdbfpu.errors import UsageError

__all__ = ("SCHEMA", "EventWriter")

SCHEMA = 1
"""The version of the event file's form; it grows when a key changes its meaning."""


class EventWriter:
    """An event file being written. It never writes over a file that is there already."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self._whole = 0  # bytes of whole lines
        try:
            self._stream = path.open("xb", buffering=0)
        except FileExistsError as error:
            raise UsageError(f"{path} exists already: name a new file or remove it") from error
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from error
        try:
            self.write({"schema": SCHEMA, **header})
        except OSError as error:
            self.close()
            path.unlink()
            raise UsageError(f"cannot write {path}: {error.strerror}") from error

    def write(self, event: Mapping[str, Any]) -> None:
        """Append one line, or nothing of it: raise OSError when the disk takes no more."""
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
        """End the file; every line in it is whole."""
        self._stream.close()
