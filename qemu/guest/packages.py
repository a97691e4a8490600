# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of Debian's packages that the guest needs: busybox, and an X server with x11perf."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from qemu.cache import cache_root, publish
from qemu.debian import download, unpack
from qemu.errors import SetupError

__all__ = ("busybox", "desktop")

_SUITE = "bookworm"

_DESKTOP_PACKAGES = (
    "x11-apps",
    "x11-xkb-utils",
    "xkb-data",
    "xserver-xorg-core",
    "xserver-xorg-video-dummy",
)
_DESKTOP_OBJECTS = (
    "usr/bin/x11perf",
    "usr/bin/xkbcomp",
    "usr/lib/xorg/Xorg",
    "usr/lib/xorg/modules/drivers/dummy_drv.so",
)
_DESKTOP_DATA = ("usr/share/X11/xkb",)

_LOADER = "lib64/ld-linux-x86-64.so.2"
_LIBRARY_DIRECTORIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")


def busybox() -> Path:
    """Return the static busybox of Debian's busybox-static, downloaded once. Raises SetupError."""

    def select(root: Path, kept: Path) -> None:
        _copy(root / "bin/busybox", kept / "busybox")

    return _obtain("busybox", ("busybox-static",), select, closure=False) / "busybox"


def desktop() -> Path:
    """Return a directory tree with Xorg, x11perf and all they load, downloaded once.

    The X server is Debian's, with the dummy video driver and no input drivers. Raises SetupError.
    """

    def select(root: Path, kept: Path) -> None:
        for name in _DESKTOP_DATA:
            shutil.copytree(root / name, kept / name, symlinks=True)
        for name in sorted({*_DESKTOP_OBJECTS, *_libraries(root, _DESKTOP_OBJECTS), _LOADER}):
            _copy(_resolve(root, name), kept / name)

    return _obtain("desktop", _DESKTOP_PACKAGES, select, closure=True)


def _obtain(
    name: str, packages: Sequence[str], select: Callable[[Path, Path], None], *, closure: bool
) -> Path:
    """Keep in the cache what `select` copies out of the unpacked packages."""
    key = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]

    def build(target: Path) -> None:
        debs, root = target / ".debs", target / ".root"
        found = download(_SUITE, packages, debs, closure=closure)
        print(f"Debian {_SUITE}: unpacking {len(found)} packages for the guest", flush=True)
        unpack(found, root)
        select(root, target)
        shutil.rmtree(debs)
        shutil.rmtree(root)

    return publish(build, cache_root() / "packages" / f"{name}-{_SUITE}-{key}")


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        raise SetupError(f"Debian {_SUITE} has no {target.name} where it was expected: {source}")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def _resolve(root: Path, name: str) -> Path:
    """Follow the symbolic links of `name` as they are meant: below `root`."""
    path = root / name
    for _ in range(8):
        if not path.is_symlink():
            return path
        link = path.readlink()
        path = root / link.relative_to("/") if link.is_absolute() else path.parent / link
    raise SetupError(f"too many symbolic links: {name}")


def _libraries(root: Path, objects: Sequence[str]) -> Iterator[str]:
    """Yield, relative to `root`, the libraries that `objects` need, found by root's own loader."""
    search = ":".join(str(root / directory) for directory in _LIBRARY_DIRECTORIES)
    for name in objects:
        command = [str(_resolve(root, _LOADER)), "--library-path", search, "--list"]
        process = subprocess.run(
            [*command, str(root / name)], capture_output=True, text=True, check=False
        )
        if process.returncode:
            raise SetupError(f"libraries of {name}: {process.stderr.strip() or process.stdout}")
        for line in process.stdout.splitlines():
            library = line.partition(" => ")[2].partition(" (")[0]
            if library and Path(library).name != Path(_LOADER).name:
                yield Path(library).relative_to(root).as_posix()
