# SPDX-License-Identifier: GPL-2.0-or-later
"""What distributions call the packages that gdbfpu needs: GDB, and a kernel's debug package."""

from __future__ import annotations

import platform
from typing import NamedTuple

__all__ = ("Distribution", "debug_package", "distribution", "install_gdb")


class Distribution(NamedTuple):
    """A family of distributions.

    `gdb` installs GDB, `debug` a kernel's debug information; `vmlinux` is then the file for GDB.
    `{release}` stands for what `uname -r` prints under that kernel.
    """

    gdb: str
    debug: str
    vmlinux: str


_KNOWN = {
    "debian": Distribution(
        "sudo apt install gdb",
        "sudo apt install linux-image-{release}-dbg",
        "/usr/lib/debug/boot/vmlinux-{release}",
    ),
    "ubuntu": Distribution(
        "sudo apt install gdb",
        "sudo apt install linux-image-{release}-dbgsym",
        "/usr/lib/debug/boot/vmlinux-{release}",
    ),
    "fedora": Distribution(
        "sudo dnf install gdb",
        "sudo dnf debuginfo-install kernel-{release}",
        "/usr/lib/debug/lib/modules/{release}/vmlinux",
    ),
    "suse": Distribution(
        "sudo zypper install gdb",
        "sudo zypper install kernel-default-debuginfo",
        "/usr/lib/debug/boot/vmlinux-{release}.debug",
    ),
    "arch": Distribution(
        "sudo pacman -S gdb",
        "sudo pacman -S linux-headers",
        "/usr/lib/modules/{release}/build/vmlinux",
    ),
}
"""By ID or ID_LIKE of /etc/os-release."""


def distribution() -> Distribution | None:
    """Return the distribution of this machine, None if it is not known here."""
    try:
        told = platform.freedesktop_os_release()
    except (AttributeError, OSError):  # Python 3.9; no such file
        return None
    names = [told.get("ID", ""), *told.get("ID_LIKE", "").split()]
    return next((_KNOWN[name] for name in names if name in _KNOWN), None)


def install_gdb(known: Distribution | None) -> str:
    """Return how to install GDB."""
    return known.gdb if known else "install the package gdb"


def debug_package(known: Distribution | None, release: str) -> tuple[str, ...]:
    """Return how to get a vmlinux with types for the kernel `release`, empty if not known."""
    if known is None or not release:
        return ()
    return (known.debug.format(release=release), f"file {known.vmlinux.format(release=release)}")
