# SPDX-License-Identifier: GPL-2.0-or-later
"""A built kernel that the user gives: the environment's VMLINUX and BZIMAGE."""

from __future__ import annotations

import os
from pathlib import Path

from qemu.errors import GivenError, SetupError

__all__ = ("PREFERRED", "forget_pair", "given_pair", "release_of")

PREFERRED = "kgdb-4.4"
"""The kernel to use if KERNEL is not set and this one is available."""

_VARIABLES = ("VMLINUX", "BZIMAGE")
_MAGIC = slice(0x202, 0x206)  # the Linux/x86 boot protocol, "The Real-Mode Kernel Header"
_VERSION = slice(0x20E, 0x210)
_HEADER = 0x200  # kernel_version counts from here
_LONGEST = 128


def given_pair(name: str) -> tuple[Path, Path] | None:
    """Return the vmlinux and the bzImage that the user gave for the kernel `name`, or None.

    They replace the kernel that KERNEL names, or PREFERRED if KERNEL is not set. Raises GivenError
    if one of them is missing or is not a kernel.
    """
    if name != (os.environ.get("KERNEL") or PREFERRED):
        return None
    values = {variable: os.environ.get(variable, "") for variable in _VARIABLES}
    if not any(values.values()):
        return None
    for variable, value in values.items():
        if not value:
            raise GivenError(f"{variable} is not set: give both VMLINUX=PATH and BZIMAGE=PATH")
        if not Path(value).is_file():
            raise GivenError(f"{variable}: there is no file {value}")
    pair = Path(values["VMLINUX"]).resolve(), Path(values["BZIMAGE"]).resolve()
    try:
        release_of(pair[1])
    except SetupError as error:
        raise GivenError(f"BZIMAGE: {error}") from error
    return pair


def forget_pair(name: str) -> None:
    """Remove the pair given for the kernel `name` from the environment, if there is one."""
    if given_pair(name):
        for variable in _VARIABLES:
            del os.environ[variable]


def release_of(bzimage: Path) -> str:
    """Return the release in the header of a bzImage, as in `uname -r`; raise SetupError."""
    with bzimage.open("rb") as file:
        head = file.read(1 << 16)
    start = int.from_bytes(head[_VERSION], "little") + _HEADER
    release = head[start : start + _LONGEST].partition(b"\0")[0].partition(b" ")[0]
    if head[_MAGIC] != b"HdrS" or start == _HEADER or not release:
        raise SetupError(f"{bzimage} is not a bzImage: its boot header states no release")
    return release.decode("ascii", "replace")
