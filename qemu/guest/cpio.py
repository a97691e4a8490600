# SPDX-License-Identifier: GPL-2.0-or-later
"""Initial RAM file systems: the cpio "newc" format, and nothing of the machine that made it."""

from __future__ import annotations

import gzip
import os
import stat
from pathlib import Path

__all__ = ("write_initramfs",)

_COMPRESSION = 6


def write_initramfs(root: Path, target: Path) -> None:
    """Write the directory tree `root` to `target`, as the kernel unpacks it: cpio.gz.

    Every file belongs to root:root and is of the year 1970, so equal trees make equal files.
    Source: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel.
    """
    with target.open("wb") as raw, gzip.GzipFile("", "wb", _COMPRESSION, raw, mtime=0) as archive:
        for number, path in enumerate(sorted(root.rglob("*")), start=1):
            _write_entry(archive, path, path.relative_to(root).as_posix(), number)
        _write_member(archive, "TRAILER!!!", b"", 0, 0)


def _write_entry(archive: gzip.GzipFile, path: Path, name: str, number: int) -> None:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        content = os.fsencode(path.readlink())
    elif stat.S_ISREG(status.st_mode):
        content = path.read_bytes()
    else:
        content = b""
    _write_member(archive, name, content, status.st_mode, number)


def _write_member(
    archive: gzip.GzipFile, name: str, content: bytes, mode: int, number: int
) -> None:
    encoded = os.fsencode(name) + b"\0"
    # ino, mode, uid, gid, nlink, mtime, filesize, dev (2 fields), rdev (2 fields), namesize, check
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
    archive.write(_padded(header))
    archive.write(_padded(content))


def _padded(part: bytes) -> bytes:
    return part + bytes(-len(part) % 4)
