# SPDX-License-Identifier: GPL-2.0-or-later
"""Layouts kept from one session to the next: a file for each build-id, in XDG's cache directory.

A file is only believed for the build-id, the questions and the version of gdbfpu's readers it
was written for, and if nothing in it was damaged. Anything else counts as not being there; it is
written anew, as a whole or not at all. `GDBFPU_CACHE=off` in the environment: neither is done.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tempfile
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gdbfpu.errors import CorruptState
from gdbfpu.layouts.types import Layouts

__all__ = ("Question", "load", "store")

_BUILD_ID = re.compile("[0-9a-f]{16,128}")  # a name for a file, whatever a hostile note says
_MAX_BYTES = 4 << 20  # some 50 KiB are usual


class Question(NamedTuple):
    """What layouts answer: which types of the kernel with which build-id (hex; empty: unknown).

    `anchors` are the functions whose compile units were asked, which can decide what a name
    stands for.
    """

    build_id: str
    types: tuple[str, ...]
    anchors: tuple[str, ...]


def load(question: Question) -> Layouts | None:
    """Return what was stored for `question`, or None; `source` tells that and the first source."""
    path = _path(question)
    data = _read(path) if path is not None else b""
    head, _, body = data.partition(b"\n")
    if not body or head != _head(question, body):
        return None
    try:
        layouts = Layouts.from_json(json.loads(body))
    except (ValueError, RecursionError, CorruptState):
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
    body = json.dumps(layouts.to_json()).encode()
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(path, _head(question, body) + b"\n" + body)


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


def _head(question: Question, body: bytes) -> bytes:
    """Return the line that a file with `body` begins with if it answers `question`."""
    said = {"readers": _readers(), **question._asdict(), "crc32": zlib.crc32(body)}
    return json.dumps(said).encode()


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
