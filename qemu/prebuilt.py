# SPDX-License-Identifier: GPL-2.0-or-later
"""Get kernels that Debian built, with debug symbols; only the kernel of a package is kept."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from qemu.catalogue import Entry
from qemu.debian import depends, download
from qemu.errors import SetupError
from qemu.progress import Progress, run_long

__all__ = ("extract",)

# A package of half a gigabyte unpacks to two, mostly symbols of modules, which we do not need.
_UNPACK = 'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --wildcards "*/vmlinu[xz]*"'


def extract(entry: Entry, into: Path) -> None:
    """Fill `into` with the vmlinux and the bzImage that the suite offers; raise SetupError."""
    image, debug = _packages(entry)
    debs = into / "debs"
    for deb in download(entry.suite, [image, debug], debs):
        kind = "vmlinux" if deb.name.startswith(f"{debug}_") else "vmlinuz"
        _unpack_one(entry, deb, kind, into)
    shutil.rmtree(debs)


def _packages(entry: Entry) -> tuple[str, str]:
    """Return the packages with the kernel and with its symbols; meta packages name them."""
    image = _one(entry, depends(entry.suite, entry.package), "linux-image-")
    debug = _one(entry, depends(entry.suite, f"{entry.package}-dbg"), "linux-image-")
    # In sid (7.2) the image is a meta package, too.
    binary = [name for name in depends(entry.suite, image) if name.startswith("linux-binary-")]
    return (binary[0] if binary else image), debug


def _one(entry: Entry, names: list[str], start: str) -> str:
    found = [name for name in names if name.startswith(start)]
    if len(found) != 1:
        raise SetupError(f"{entry.name}: {entry.package} depends on {len(found)} kernels, not one")
    return found[0]


def _unpack_one(entry: Entry, deb: Path, kind: str, into: Path) -> None:
    """Unpack the file KIND or KIND-RELEASE of a package; raise SetupError."""
    root = into / f"{kind}.root"
    root.mkdir()
    argv = ["bash", "-o", "pipefail", "-c", _UNPACK, "unpack", str(deb), str(root)]
    run_long(argv, Progress(entry.name), f"unpacking {deb.name}")
    kernel = re.compile(rf"{kind}(-\d.*)?")
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    found = [path for path in files if kernel.fullmatch(path.name)]
    if len(found) != 1:
        raise SetupError(f"{entry.name}: {deb.name} holds {len(found)} files {kind}, not one")
    found[0].rename(into / ("bzImage" if kind == "vmlinuz" else kind))
    shutil.rmtree(root)
