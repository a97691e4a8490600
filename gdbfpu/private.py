# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of this user alone: what gdbfpu keeps between sessions, and what has register values."""

from __future__ import annotations

import errno
import os
import stat
from io import FileIO
from pathlib import Path

__all__ = ("make_private_folder", "new_private_file", "of_this_user", "read_private")

_FILE, _FOLDER = 0o600, 0o700
_OTHERS = 0o022  # the bits that let others write


def new_private_file(path: Path) -> FileIO:
    """Create `path`, which nobody else can read, and return it opened; raise OSError."""
    return FileIO(path, "xb", opener=lambda name, flags: os.open(name, flags, _FILE))


def make_private_folder(folder: Path) -> None:
    """Create `folder`, and those above it that are missing, for this user alone; raise OSError."""
    for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        missing.mkdir(_FOLDER, exist_ok=True)


def of_this_user(file: int) -> bool:
    """Return whether the open `file` belongs to this user or to root, or is no regular file."""
    about = os.fstat(file)
    return not stat.S_ISREG(about.st_mode) or about.st_uid in (0, os.geteuid())


def read_private(path: Path, most: int) -> bytes | None:
    """Return the contents of a file that only this user can have written, None for any other.

    It is not read through a link. Raises OSError, and ValueError for more than `most` bytes.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        file = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise
    try:
        about = os.fstat(file)
        own = about.st_uid == os.geteuid() and not about.st_mode & _OTHERS
        if not stat.S_ISREG(about.st_mode) or not own:
            return None
        with os.fdopen(file, "rb", closefd=False) as stream:
            data = stream.read(most + 1)
    finally:
        os.close(file)
    if len(data) > most:
        raise ValueError("it is too long")
    return data
