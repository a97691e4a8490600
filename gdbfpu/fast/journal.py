# SPDX-License-Identifier: GPL-2.0-or-later
"""The journal of a fast trace: what it writes over, on disk before the first byte changes.

A new debugger restores the kernel's text from it if the one that wrote the trampolines has died.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdbfpu.errors import CorruptState, UsageError

__all__ = ("Entry", "Journal", "find_journals", "write_journal")

_SUFFIX = ".journal"
_MOST = 1 << 20  # bytes of a journal; one has a few KiB


@dataclass(frozen=True)
class Entry:
    """A place in the kernel's text: `address`, the bytes `old` before the trace and `new` in it."""

    function: str
    address: int
    old: bytes
    new: bytes


@dataclass(frozen=True)
class Journal:
    """The `entries` of one trace, the memory it allocated, `base`, and its code's pages."""

    path: Path
    base: int
    code_pages: int
    entries: tuple[Entry, ...]

    def remove(self) -> None:
        """Remove the file: the kernel's text is as it was."""
        self.path.unlink(missing_ok=True)


def write_journal(
    folder: Path, build_id: str, base: int, code_pages: int, entries: Sequence[Entry]
) -> Journal:
    """Write a new journal for the kernel with `build_id` (hex), down to the disk.

    Raises UsageError if that is not possible.
    """
    data = {
        "build_id": build_id,
        "base": base,
        "code_pages": code_pages,
        "entries": [[e.function, e.address, e.old.hex(), e.new.hex()] for e in entries],
    }
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(_SUFFIX, "fast-", folder)
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            json.dump(data, stream)
            stream.flush()
            os.fsync(handle)
    except OSError as error:
        why = f"no journal can be written to {folder}, so nothing is changed: {error.strerror}"
        raise UsageError(why) from error
    return Journal(Path(name), base, code_pages, tuple(entries))


def find_journals(folder: Path, build_id: str) -> Iterator[Journal]:
    """Yield the journals in `folder` of kernels with `build_id`, this user's own only.

    Raises CorruptState for one that cannot be read.
    """
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        with suppress(FileNotFoundError):  # another debugger removed it just now
            status = path.stat()
            if status.st_uid == os.getuid() and status.st_size <= _MOST:
                journal = _read(path, build_id)
                if journal is not None:
                    yield journal


def _read(path: Path, build_id: str) -> Journal | None:
    try:
        data: Any = json.loads(path.read_text(encoding="ascii"))
        entries = tuple(
            Entry(str(function), int(address), bytes.fromhex(old), bytes.fromhex(new))
            for function, address, old, new in data["entries"]
        )
        if data["build_id"] != build_id:
            return None
        return Journal(path, int(data["base"]), int(data["code_pages"]), entries)
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptState(f"{path} is not a journal of a fast trace: remove it") from error
