# SPDX-License-Identifier: GPL-2.0-or-later
"""Layouts kept from one session to the next: a file for each build-id, in XDG's cache directory.

A file is only believed for the build-id, the questions, the files of debugging information (which
have to be the very same, unchanged) and the version of gdbfpu's readers it was written for, and if
nothing in it was damaged. Anything else counts as not being there; it is
written anew, as a whole or not at all. `GDBFPU_CACHE=off` in the environment: neither is done.
"""

from __future__ import annotations

import json
import os
import re
import stat
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

__all__ = ("Question", "load", "stamp", "store")

_BUILD_ID = re.compile("[0-9a-f]{16,128}")  # a name for a file, whatever a hostile note says
_TICK = 20_000_000  # ns; the clock of a file's times goes in steps of up to 10 ms
_MAX_BYTES = 4 << 20  # some 50 KiB are usual


class Question(NamedTuple):
    """What layouts answer: which types of the kernel with which build-id (hex; empty: unknown).

    `anchors` are the functions whose compile units were asked, which can decide what a name
    stands for. The types `needed` have to be there; of `variables`, pairs of a symbol and its
    type, those whose symbol is there. `files` are stamps of the files that are asked.
    """

    build_id: str
    types: tuple[str, ...]
    anchors: tuple[str, ...]
    needed: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[int, ...], ...] = ()


def stamp(file: Path) -> tuple[int, ...]:
    """Return what tells `file` from any other and from itself before a change; empty for none.

    Its device, inode and size, and the times (ns) when contents and inode changed last.
    """
    try:
        s = file.stat()
    except (OSError, ValueError):
        return ()
    return s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns


def load(question: Question) -> Layouts | None:
    """Return what was stored for `question`, or None; `source` tells that and the first source."""
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
    """Keep `layouts` for `question`; do nothing where no file can be written."""
    path = _path(question)
    if path is None:
        return
    beside = {str(file): stamp(file) for file in layouts.files}
    _let_pass((*question.files, *beside.values()))
    body = json.dumps(layouts.to_json()).encode()
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(path, _head(question, body, beside) + b"\n" + body)


def _let_pass(stamps: tuple[tuple[int, ...], ...]) -> None:
    """Wait until a change of the files with these stamps would show in their times."""
    newest = max((max(times[3:]) for times in stamps if times), default=0)
    young = _TICK - (time.time_ns() - newest)
    if 0 < young <= _TICK:
        time.sleep(young / 1e9)


def _path(question: Question) -> Path | None:
    """Return the file of `question`'s build-id, None where nothing is to be kept."""
    off = os.environ.get("GDBFPU_CACHE") == "off"
    if off or not _BUILD_ID.fullmatch(question.build_id) or not _readers():
        return None
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    except RuntimeError:  # nobody's home
        return None
    return root / "gdbfpu" / "layouts" / f"{question.build_id}.json"


@cache
def _readers() -> int:
    """Return a checksum of the code that makes layouts, which ends what older code made.

    0 where the source is not there.
    """
    code = 0
    try:
        for path in sorted(Path(__file__).parent.glob("*.py")):
            code = zlib.crc32(path.read_bytes(), code)
    except OSError:
        return 0
    return code


def _head(question: Question, body: bytes, beside: Mapping[str, Sequence[int]]) -> bytes:
    """Return the line that a file with `body` begins with if it answers `question`.

    `beside` are the stamps of files that were read besides those of the question, by name.
    """
    said = {"readers": _readers(), **question._asdict(), "beside": beside}
    return json.dumps({**said, "crc32": zlib.crc32(body)}).encode()


def _read(path: Path) -> bytes:
    """Return the contents of a regular file that is one's own; nothing for any other."""
    with suppress(OSError):
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(file, "rb") as stream:
            about = os.fstat(file)
            if stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid():
                data = stream.read(_MAX_BYTES + 1)
                return data if len(data) <= _MAX_BYTES else b""
    return b""


def _replace(path: Path, data: bytes) -> None:
    """Write the file `path` so that nobody ever sees a part of it; raise OSError.

    The draft's name cannot be known before, so it is no link that leads elsewhere.
    """
    file, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
