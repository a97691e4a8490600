# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's makedumpfile, kept in the cache: that of trixie, for bookworm's lacks zstd.

It runs with its own libraries, and nothing is installed.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from qemu.cache import cache_root, publish
from qemu.debian import download, unpack

__all__ = ("command",)

_SUITE, _PACKAGE = "trixie", "makedumpfile"
_LIBRARIES = "usr/lib/x86_64-linux-gnu"


def command() -> list[str]:
    """Return the command that runs makedumpfile, downloaded once; raise SetupError."""
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    kept = publish(_fill, cache_root() / "packages" / f"{_PACKAGE}-{_SUITE}-{digest}")
    libraries = kept / _LIBRARIES
    loader = libraries / "ld-linux-x86-64.so.2"
    return [str(loader), "--library-path", str(libraries), str(kept / "usr/bin" / _PACKAGE)]


def _fill(into: Path) -> None:
    debs = into / "debs"
    unpack(download(_SUITE, [_PACKAGE], debs, closure=True), into)
    shutil.rmtree(debs)
