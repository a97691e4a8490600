# SPDX-License-Identifier: GPL-2.0-or-later
"""The journal of a fast trace: what it writes over, on disk before the first byte changes.

A new debugger restores the kernel's text from it if the one that wrote the trampolines has died.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdbfpu.errors import CorruptState, UsageError
from gdbfpu.fast.layout import PAGE
from gdbfpu.private import make_private_folder, read_private

__all__ = (
    "SUFFIX",
    "Entry",
    "Journal",
    "damaged",
    "find_journals",
    "journal_folder",
    "store",
    "stored",
    "u64",
    "write_journal",
)

SUFFIX = ".journal"
"""How the names of journals end."""

_MOST = 1 << 20  # bytes of a journal; one has a few KiB
_MOST_PAGES = 256  # of code
_LONGEST = 64  # bytes of an entry
_WRITTEN = ".new"  # how the name of a file ends that is not whole yet


def journal_folder() -> Path:
    """Return the folder of the journals, in the XDG state directory."""
    state = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state) if state.startswith("/") else Path.home() / ".local/state"
    return base / "gdbfpu"


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

    The file has its name only when it is whole. Raises UsageError if that is not possible.
    """
    try:
        make_private_folder(folder)
        handle, name = tempfile.mkstemp(_WRITTEN, "fast-", folder)
        written = Path(name)
        with ExitStack() as unless_whole:
            unless_whole.callback(written.unlink)
            with os.fdopen(handle, "w", encoding="ascii") as stream:
                json.dump(data, stream)
                stream.flush()
                os.fsync(handle)
            whole = written.rename(written.with_suffix(suffix))
            unless_whole.pop_all()
        return whole
    except OSError as error:
        why = f"no journal can be written to {folder}, so nothing is changed: {error.strerror}"
        raise UsageError(why) from error


def find_journals(folder: Path, build_id: str) -> Iterator[Journal]:
    """Yield the journals in `folder` of kernels with `build_id`, this user's own only.

    Raises CorruptState for one that cannot be read.
    """
    for path, data in stored(folder, SUFFIX, build_id):
        with damaged(path):
            entries = tuple(map(_entry, data["entries"]))
            base, pages = u64(data["base"]), u64(data["code_pages"])
            if base % PAGE or not 0 < pages <= _MOST_PAGES:
                raise ValueError("it names memory that no trace allocates")
            journal = Journal(path, base, pages, entries)
        yield journal


def _entry(data: Sequence[Any]) -> Entry:
    """Return the entry that has been stored as `data`; raise ValueError or TypeError."""
    function, address, old, new = data
    entry = Entry(function, u64(address), bytes.fromhex(old), bytes.fromhex(new))
    if not isinstance(function, str) or not function.isprintable():
        raise ValueError("the name of a function is not fit for a terminal")
    if not 0 < len(entry.old) == len(entry.new) <= _LONGEST:
        raise ValueError("an entry does not have as many bytes as it writes over")
    return entry


def u64(value: Any) -> int:
    """Return `value`, which was read from JSON, if it is a u64; raise ValueError if not."""
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise ValueError("it has another number than a u64")
    return value


def stored(folder: Path, suffix: str, build_id: str) -> Iterator[tuple[Path, Any]]:
    """Yield the files in `folder` of kernels with `build_id`, this user's own, and their data."""
    for path in sorted(folder.glob(f"*{suffix}")):
        with suppress(FileNotFoundError), damaged(path):  # another debugger removed it just now
            raw = read_private(path, _MOST)
            if raw is None:
                continue
            data: Any = json.loads(raw.decode("ascii"))
            if data["build_id"] == build_id:
                yield path, data


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """Raise CorruptState if the data of `path` turns out to be something else."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (AttributeError, KeyError, OSError, RecursionError, TypeError, ValueError) as error:
        raise CorruptState(f"{path} is not a journal of a fast trace: remove it") from error
