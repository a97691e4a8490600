# SPDX-License-Identifier: GPL-2.0-or-later
"""The event file: JSON Lines, a header first, then one object per hit, each line flushed.

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
        try:
            self._stream = path.open("x", encoding="utf-8")
        except FileExistsError as error:
            raise UsageError(f"{path} exists already: name a new file or remove it") from error
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from error
        self.write({"schema": SCHEMA, **header})

    def write(self, event: Mapping[str, Any]) -> None:
        """Append one line; raise OSError when the disk takes no more."""
        self._stream.write(json.dumps(event, ensure_ascii=True) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """End the file; every line in it is whole."""
        self._stream.close()
