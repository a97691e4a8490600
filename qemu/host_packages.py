# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages that this machine needs to build and test gdbfpu, distribution by distribution."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from typing import NamedTuple

from qemu.errors import SetupError

__all__ = ("PACKAGES", "check", "has_apt")

_FONT = "/usr/share/fonts/**/DejaVuSans.ttf"


class Package(NamedTuple):
    """A package by its names, and `found`: the program or file that shows that it is installed.

    The file may be a glob, and there may be several, between bars. Without `found`, only Debian
    needs the package.
    """

    debian: str
    found: str = ""
    fedora: str = ""
    arch: str = ""
    suse: str = ""


def _same(*names: str) -> tuple[Package, ...]:
    """Return the packages that have the name of their program everywhere."""
    return tuple(Package(name, name, name, name, name) for name in names)


PACKAGES = (
    *_same("gdb", "gcc", "make"),
    Package("gdbserver", "gdbserver", "gdb-gdbserver", "gdb", "gdbserver"),
    Package(
        "qemu-system-x86", "qemu-system-x86_64", "qemu-system-x86", "qemu-system-x86", "qemu-x86"
    ),
    Package("libc6-dev", "/usr/include/stdio.h", "glibc-devel", "glibc", "glibc-devel"),
    Package("python3-venv"),  # others have it in Python itself
    Package("python3-pip", "pip3", "python3-pip", "python-pip", "python3-pip"),
    # building kernels
    *_same("bc", "bison", "cpio", "flex", "perl", "rsync"),
    Package("kmod", "modprobe", "kmod", "kmod", "kmod"),
    Package(
        "libelf-dev", "/usr/include/libelf.h", "elfutils-libelf-devel", "libelf", "libelf-devel"
    ),
    Package(
        "libssl-dev", "/usr/include/openssl/ssl.h", "openssl-devel", "openssl", "libopenssl-devel"
    ),
    Package("xz-utils", "xz", "xz", "xz", "xz"),
    Package("debian-archive-keyring"),  # for what only Debian's apt downloads
    # BTF to test with, and the forms that debugging information comes in
    Package("dwarves", "pahole", "dwarves", "pahole", "dwarves"),
    *_same("clang", "dwz"),
    Package("debuginfod", "debuginfod", "elfutils-debuginfod", "debuginfod", "/usr/bin/debuginfod"),
    Package("lld", "ld.lld", "lld", "lld", "lld"),
    Package("llvm", "llvm-objcopy", "llvm", "llvm", "llvm"),
    # a browser, to look at the pages that gdbfpu makes
    Package("chromium", "chromium|chromium-browser", "chromium", "chromium", "chromium"),
    Package("fonts-dejavu-core", _FONT, "dejavu-sans-fonts", "ttf-dejavu", "dejavu-fonts"),
    # a terminal whose screen a test can read
    *_same("tmux"),
    # what reads the manual pages and the completion of shells
    *_same("fish", "mandoc", "zsh"),
    Package("man-db", "man", "man-db", "man-db", "man"),
)
"""All that is needed. Ubuntu has Debian's names."""

_INSTALL = {"fedora": "dnf install", "arch": "pacman -S", "suse": "zypper install"}


def has_apt() -> bool:
    """Return whether this is Debian or made from it, so that apt has Debian's names."""
    return "debian" in _kinds(_release())


def check() -> None:
    """Raise SetupError that names the packages that this machine lacks; it has no apt."""
    missing = [each for each in PACKAGES if each.found and not _is_there(each.found)]
    if not missing:
        return
    release = _release()
    system = release.get("PRETTY_NAME") or "this system"
    for kind in _kinds(release):
        if kind in _INSTALL:
            names = " ".join(getattr(each, kind) for each in missing)
            raise SetupError(f"{system} lacks packages, install them: {_INSTALL[kind]} {names}")
    names = " ".join(each.debian for each in missing)
    raise SetupError(f"{system} lacks what these packages of Debian have: {names}")


def _release() -> dict[str, str]:
    """Return what os-release says; nothing if there is no such file."""
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _kinds(release: dict[str, str]) -> list[str]:
    """Return the distributions that this one is or is like, the nearest first."""
    return [release.get("ID", ""), *release.get("ID_LIKE", "").split()]


def _is_there(found: str) -> bool:
    """Return whether a program or file of them is there; administrators' programs count."""
    for each in found.split("|"):
        if any(Path("/").glob(each[1:])) if each.startswith("/") else _program(each):
            return True
    return False


def _program(name: str) -> bool:
    return any(shutil.which(name, path=path) for path in (None, "/usr/sbin:/sbin"))
