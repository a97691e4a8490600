# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep layouts for the next session: one file for each build-id, in the XDG cache directory.

A cached file is used only if it is undamaged and was written for the same build-id, the same
question, the same unchanged files of debug information, and the same code of gdbfpu's readers.
Otherwise it is ignored and then replaced as a whole. `GDBFPU_CACHE=off` in the environment turns
the cache off.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gdbfpu.errors import CorruptState
from gdbfpu.layouts.types import Layouts
from gdbfpu.private import make_private_folder, read_private

__all__ = ("Question", "load", "stamp", "store")

_BUILD_ID = re.compile("[0-9a-f]{16,128}")  # safe as a file name, even from a hostile note
_TICK = 20_000_000  # ns; file times advance in steps of up to 10 ms
_MAX_BYTES = 4 << 20  # some 50 KiB are usual


class Question(NamedTuple):
    """The question that layouts answer.

    - `build_id`: the kernel, in hex; empty: unknown.
    - `types`: the wanted types.
    - `anchors`: the functions whose compile units to search. If several types share a name, the
      anchors can decide which of them is found.
    - `needed`: the types that must exist.
    - `variables`: pairs of a symbol and its type; the type must exist if the symbol does.
    - `files`: stamps of the files to search.
    """

    build_id: str
    types: tuple[str, ...]
    anchors: tuple[str, ...]
    needed: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[int, ...], ...] = ()


def stamp(file: Path) -> tuple[int, ...]:
    """Return a stamp that changes when `file` is changed or replaced; empty if it does not exist.

    A stamp has device, inode and size, and the times (ns) of the last change of contents and inode.
    """
    try:
        s = file.stat()
    except (OSError, ValueError):
        return ()
    return s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns


def load(question: Question) -> Layouts | None:
    """Return the layouts stored for `question`, or None; their `source` becomes `cache (...)`."""
    path = _path(question)
    data = _read(path) if path is not None else b""
    head, _, body = data.partition(b"\n")
    try:
        beside = json.loads(head)["beside"] if body else {}
        there = all(stamp(Path(name)) == tuple(known) for name, known in beside.items())
        if not body or not there or head != _head(question, body, beside):
            return None
        layouts = Layouts.from_json(json.loads(body))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, CorruptState):
        return None
    if not layouts.names() or not set(layouts.names()) <= set(question.types):
        return None
    layouts.source = f"cache ({layouts.source})"
    return layouts


def store(question: Question, layouts: Layouts) -> None:
    """Keep `layouts` for `question`; do nothing if the file cannot be written."""
    path = _path(question)
    if path is None:
        return
    beside = {str(file): stamp(file) for file in layouts.files}
    _wait_for_tick((*question.files, *beside.values()))
    body = json.dumps(layouts.to_json()).encode()
    with suppress(OSError):
        make_private_folder(path.parent)
        _replace(path, _head(question, body, beside) + b"\n" + body)


def _wait_for_tick(stamps: tuple[tuple[int, ...], ...]) -> None:
    """Wait long enough that a later change to the files with these `stamps` changes their times."""
    newest = max((max(times[3:]) for times in stamps if times), default=0)
    young = _TICK - (time.time_ns() - newest)
    if 0 < young <= _TICK:
        time.sleep(young / 1e9)


def _path(question: Question) -> Path | None:
    """Return the cache file for `question`'s build-id, None if nothing is to be kept."""
    off = os.environ.get("GDBFPU_CACHE") == "off"
    if off or not _BUILD_ID.fullmatch(question.build_id) or not _readers():
        return None
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    except RuntimeError:  # no home directory
        return None
    return root / "gdbfpu" / "layouts" / f"{question.build_id}.json"


@cache
def _readers() -> int:
    """Return a checksum of the code that makes layouts: files written by other code are not used.

    Returns 0 if the source cannot be read.
    """
    code = 0
    try:
        for path in sorted(Path(__file__).parent.glob("*.py")):
            code = zlib.crc32(path.read_bytes(), code)
    except OSError:
        return 0
    return code


def _head(question: Question, body: bytes, beside: Mapping[str, Sequence[int]]) -> bytes:
    """Return the first line of a file with `body` that answers `question`.

    `beside` has, by name, the stamps of the files that were read in addition to `question.files`.
    """
    fields = {"readers": _readers(), **question._asdict(), "beside": beside}
    return json.dumps({**fields, "crc32": zlib.crc32(body)}).encode()


def _read(path: Path) -> bytes:
    """Return the contents of a file that only this user can have written; else empty."""
    with suppress(OSError, ValueError):
        return read_private(path, _MAX_BYTES) or b""
    return b""


def _replace(path: Path, data: bytes) -> None:
    """Replace the file `path` as a whole; raise OSError.

    The draft has a random name, so nobody can put a link there first.
    """
    file, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(data)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)  # it is not there any more once it is in place
