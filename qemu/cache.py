# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache outside the checkout: its place, its locks, and only complete directories in it."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ("cache_root", "fresh_log", "lock", "publish")


def cache_root() -> Path:
    """Return the directory for everything kept between runs, in XDG's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says to ignore a relative path.
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "gdbfpu"


@contextmanager
def fresh_log(name: str) -> Iterator[Path]:
    """Yield an empty log file in the cache; remove it at the end, but keep it after an error."""
    path = cache_root() / "logs" / f"{name.replace('/', '-')}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    yield path
    path.unlink(missing_ok=True)


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the cache's lock `name`; print a line if another process has it.

    The kernel drops the lock whenever its holder ends.
    """
    path = cache_root() / "locks" / f"{name.replace('/', '-')}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process that holds {path}", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def publish(build: Callable[[Path], None], final: Path) -> Path:
    """Let `build` fill an empty directory, then name it `final` in one step; return `final`.

    `final` is complete or does not exist. If it exists, it is returned unchanged. This removes
    what killed builders left next to it. It takes a lock, so two processes build once.
    """
    if final.is_dir():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with lock(f"publish-{final.parent.name}-{final.name}"):
        prefix = f".{final.name}.building."
        for left in final.parent.glob(f"{prefix}*"):
            shutil.rmtree(left)
        if final.is_dir():
            return final
        building = Path(tempfile.mkdtemp(prefix=prefix, dir=final.parent))
        try:
            build(building)
            building.chmod(0o755)
            building.rename(final)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return final
