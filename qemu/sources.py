# SPDX-License-Identifier: GPL-2.0-or-later
"""Get kernel sources from Debian's packages or an upstream tarball, verify and unpack them."""

from __future__ import annotations

import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from qemu.cache import cache_root, publish
from qemu.catalogue import Entry
from qemu.debian import download, unpack
from qemu.errors import GivenError, SetupError
from qemu.progress import Progress, run_long
from qemu.tarball import digest_of

__all__ = ("fetch", "unpack_source")

_WANTED = ("Makefile", "Kconfig", "arch/x86/Makefile")
_BLOCK = 1 << 20
_STALL = 60  # seconds without a byte, after which we give a download up


def fetch(entry: Entry, progress: Progress) -> Path:
    """Return the entry's verified tarball on this machine, downloading it if need be.

    Raises SetupError.
    """
    if entry.kind == "debian-source":
        return _fetch_package(entry)
    if "://" in entry.url:
        return _fetch_url(entry, entry.url, progress)
    _verify(entry, Path(entry.url))
    return Path(entry.url)


def unpack_source(entry: Entry, tarball: Path, tree: Path, progress: Progress) -> None:
    """Unpack `tarball`, less its one top directory, into `tree`; raise SetupError."""
    tree.mkdir()
    argv = ["tar", "-xf", str(tarball), "-C", str(tree), "--strip-components=1", "--no-same-owner"]
    fault = GivenError if entry.given else SetupError
    try:
        run_long(argv, progress, f"unpacking {tarball}", environment={"LC_ALL": "C"})
    except SetupError as error:
        raise fault(str(error)) from error
    if missing := [name for name in _WANTED if not (tree / name).exists()]:
        raise fault(
            f"{entry.name}: {tarball} is not a complete kernel source: {missing[0]} is missing"
        )


def _fetch_package(entry: Entry) -> Path:
    wanted = f"{entry.package}={entry.version}" if entry.version else entry.package

    def build(into: Path) -> None:
        debs = download(entry.suite, [wanted], into)
        unpack(debs, into)
        for deb in debs:
            deb.unlink()

    kept = publish(build, cache_root() / "sources" / wanted.replace("=", "_"))
    found = sorted((kept / "usr" / "src").glob("linux-source-*.tar.xz"))
    if len(found) != 1:
        raise SetupError(f"{entry.package} holds {len(found)} source tarballs instead of one")
    return found[0]


def _fetch_url(entry: Entry, url: str, progress: Progress) -> Path:
    def build(into: Path) -> None:
        try:
            _receive(url, into / entry.file, progress)
        except (OSError, HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            raise SetupError(f"{entry.name}: cannot download {url}: {error}") from error
        _verify(entry, into / entry.file)

    return publish(build, cache_root() / "sources" / f"{entry.name}_{entry.sha256}") / entry.file


def _receive(url: str, path: Path, progress: Progress) -> None:
    # Not the default opener, which keeps the proxies that it saw first.
    opener = urllib.request.build_opener()
    with opener.open(url, timeout=_STALL) as answer, path.open("wb") as file:
        size = int(answer.headers.get("Content-Length") or 0)
        while block := answer.read(_BLOCK):
            file.write(block)
            progress(f"downloading {file.tell() >> 20} of {size >> 20 or '?'} MiB")
        if file.tell() < size:
            raise SetupError(f"{url} was cut off after {file.tell()} of {size} bytes: run it again")


def _verify(entry: Entry, path: Path) -> None:
    try:
        found = digest_of(path)
    except OSError as error:
        raise SetupError(f"{entry.name}: cannot read {path}: {error.strerror}") from error
    if found != entry.sha256:
        raise SetupError(
            f"{entry.name}: {path} has the SHA-256 {found}, but the catalogue says {entry.sha256}"
        )
