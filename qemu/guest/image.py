# SPDX-License-Identifier: GPL-2.0-or-later
"""The initial RAM file systems that the test machines boot."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from qemu.cache import cache_root, publish
from qemu.guest.compiler import compile_programs
from qemu.guest.cpio import write_initramfs
from qemu.guest.packages import busybox, desktop

__all__ = ("demo_image", "test_image")

_HERE = Path(__file__).parent
_MOUNT_POINTS = ("dev", "proc", "root", "sys", "tmp")


def test_image() -> Path:
    """Return the initramfs of the tests: busybox and the guest programs. Raises SetupError."""
    return _image("test", _fill_test)


def demo_image() -> Path:
    """Return the initramfs of the demonstration: the tests', Xorg and x11perf.

    `start-demo` in the guest begins it. Needs 700 MiB of guest memory. Raises SetupError.
    """
    return _image("demo", _fill_demo)


def _image(name: str, fill: Callable[[Path], None]) -> Path:
    def build(target: Path) -> None:
        root = target / "root"
        root.mkdir()
        fill(root)
        print(f"guest: packing the {name} image", flush=True)
        write_initramfs(root, target / "initramfs.cpio.gz")
        shutil.rmtree(root)

    directory = publish(build, cache_root() / "images" / f"{name}-{_sources_digest()}")
    return directory / "initramfs.cpio.gz"


def _sources_digest() -> str:
    """Return a digest of everything the images are made of and by."""
    digest = hashlib.sha256()
    for path in sorted(path for path in _HERE.rglob("*") if path.is_file()):
        if "__pycache__" not in path.parts:
            content = path.read_bytes()
            digest.update(f"{path.relative_to(_HERE)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _fill_test(root: Path) -> None:
    for name in ("bin", *_MOUNT_POINTS):
        (root / name).mkdir()
    _install(_HERE / "init", root / "init")
    _install(busybox(), root / "bin/busybox")
    for applet in _applets(root / "bin/busybox"):
        (root / "bin" / applet).symlink_to("busybox")
    compile_programs(root / "bin")


def _fill_demo(root: Path) -> None:
    _fill_test(root)
    shutil.copytree(desktop(), root, symlinks=True, dirs_exist_ok=True)
    _install(_HERE / "start-demo", root / "bin/start-demo")
    (root / "bin/Xorg").symlink_to("/usr/lib/xorg/Xorg")
    (root / "etc/X11").mkdir(parents=True)
    shutil.copy(_HERE / "xorg.conf", root / "etc/X11")
    for name in ("var/lib/xkb", "var/log"):
        (root / name).mkdir(parents=True)


def _install(source: Path, target: Path) -> None:
    shutil.copy(source, target)
    target.chmod(0o755)


def _applets(binary: Path) -> list[str]:
    listed = subprocess.run([binary, "--list"], capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split() if name != "busybox"]
