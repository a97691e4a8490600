# SPDX-License-Identifier: GPL-2.0-or-later
"""The journal of a fast trace: what it writes over, on disk before the first byte changes.

A new debugger restores the kernel's text from it if the one that wrote the trampolines has died.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any

from gdbfpu.errors import CorruptState, UsageError

__all__ = (
    "SUFFIX",
    "Entry",
    "Journal",
    "damaged",
    "find_journals",
    "store",
    "stored",
    "write_journal",
)

SUFFIX = ".journal"
"""How the names of journals end."""

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
    return Journal(store(folder, SUFFIX, data), base, code_pages, tuple(entries))


def store(folder: Path, suffix: str, data: Mapping[str, Any]) -> Path:
    """Write `data` to a new file in `folder`, down to the disk; return its path.

    Raises UsageError if that is not possible.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(suffix, "fast-", folder)
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            json.dump(data, stream)
            stream.flush()
            os.fsync(handle)
    except OSError as error:
        why = f"no journal can be written to {folder}, so nothing is changed: {error.strerror}"
        raise UsageError(why) from error
    return Path(name)


def find_journals(folder: Path, build_id: str) -> Iterator[Journal]:
    """Yield the journals in `folder` of kernels with `build_id`, this user's own only.

    Raises CorruptState for one that cannot be read.
    """
    for path, data in stored(folder, SUFFIX, build_id):
        with damaged(path):
            entries = tuple(
                Entry(str(function), int(address), bytes.fromhex(old), bytes.fromhex(new))
                for function, address, old, new in data["entries"]
            )
            journal = Journal(path, int(data["base"]), int(data["code_pages"]), entries)
        yield journal


def stored(folder: Path, suffix: str, build_id: str) -> Iterator[tuple[Path, Any]]:
    """Yield the files in `folder` of kernels with `build_id`, this user's own, and their data."""
    for path in sorted(folder.glob(f"*{suffix}")):
        with suppress(FileNotFoundError), damaged(path):  # another debugger removed it just now
            status = path.lstat()
            if status.st_uid != os.getuid() or not S_ISREG(status.st_mode):
                continue
            if status.st_size > _MOST:
                raise ValueError("it is too long")
            data: Any = json.loads(path.read_text(encoding="ascii"))
            if data["build_id"] == build_id:
                yield path, data


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """Raise CorruptState if the data of `path` turns out to be something else."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptState(f"{path} is not a journal of a fast trace: remove it") from error
