# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel source that the user gives: the environment's KERNEL_TARBALL."""

from __future__ import annotations

import functools
import hashlib
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from qemu.catalogue import Entry
from qemu.errors import GivenError
from qemu.progress import Progress

__all__ = ("TARBALL_VARIABLE", "digest_of", "given_source", "stated_version")

TARBALL_VARIABLE = "KERNEL_TARBALL"
"""The environment variable that names a source tarball, of the same series as the entry's."""

_NUMBERS = ("VERSION", "PATCHLEVEL", "SUBLEVEL")
_DAMAGE = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError)


def given_source(entry: Entry) -> Entry:
    """Return the entry, with the source that the user gave for it, if any.

    The source is the catalogue's own release, which the checksum shows, or another of the same
    series. Then the entry gets the version in the source's Makefile. Raises GivenError.
    """
    path = Path(os.environ.get(TARBALL_VARIABLE, ""))
    if entry.kind != "tarball" or entry.given or not path.name:
        return entry
    if not path.is_file():
        raise GivenError(f"{TARBALL_VARIABLE}: there is no file {path}")
    found = path.stat()
    sha256, version = _examined(path, found.st_size, found.st_mtime_ns, entry.sha256)
    version = version or entry.version
    if _series(version) != _series(entry.version):
        wanted = ".".join((*_series(entry.version), "y"))
        raise GivenError(f"{TARBALL_VARIABLE}: {path} is Linux {version}, not {wanted}")
    where = {"directory": str(path.resolve().parent), "file": path.resolve().name}
    return replace(entry, version=version, sha256=sha256, given=True, **where)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file; raise OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stated_version(makefile: Iterable[str]) -> str:
    """Return the version in the lines of a kernel's top Makefile (`4.4.60`), or ``."""
    stated: dict[str, str] = {}
    for line in makefile:
        name, separator, value = line.partition("=")
        if separator:
            stated.setdefault(name.strip(), value.strip())
    numbers = [stated.get(name, "") for name in _NUMBERS]
    return ".".join(numbers) if all(number.isdecimal() for number in numbers) else ""


def _series(version: str) -> tuple[str, ...]:
    return tuple(version.split(".")[:2])


@functools.cache
def _examined(path: Path, size: int, modified: int, known: str) -> tuple[str, str]:
    """Return a tarball's SHA-256, and its version, or `` if the SHA-256 is `known`.

    `size` and `modified` are here for the cache: they change if the file does. Raises GivenError.
    """
    try:
        sha256 = digest_of(path)
        version = "" if sha256 == known else _version_within(path)
    except _DAMAGE as error:
        raise GivenError(
            f"{TARBALL_VARIABLE}: {path} is not a complete tarball: {error}"
        ) from error
    if sha256 != known and not version:
        raise GivenError(
            f"{TARBALL_VARIABLE}: {path} is not a kernel source: its top directory has no Makefile "
            "that states a version"
        )
    return sha256, version


def _version_within(path: Path) -> str:
    progress = Progress(path.name)
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            progress("looking for its Makefile")
            parts = Path(member.name).parts
            file = archive.extractfile(member) if parts[1:] == ("Makefile",) else None
            if file is not None:
                return stated_version(file.read(1 << 20).decode("latin-1").splitlines())
    return ""
