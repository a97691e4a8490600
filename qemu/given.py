# SPDX-License-Identifier: GPL-2.0-or-later
"""A finished kernel that a person gives by hand: the environment's VMLINUX and BZIMAGE."""

from __future__ import annotations

import os
from pathlib import Path

from qemu.errors import GivenError, SetupError

__all__ = ("PREFERRED", "forget_pair", "given_pair", "release_of")

PREFERRED = "kgdb-4.4"
"""The kernel that is used where KERNEL names none, if it can be had."""

_VARIABLES = ("VMLINUX", "BZIMAGE")
_MAGIC = slice(0x202, 0x206)  # the Linux/x86 boot protocol, "The Real-Mode Kernel Header"
_VERSION = slice(0x20E, 0x210)
_HEADER = 0x200  # bytes before the place that kernel_version counts from
_LONGEST = 128


def given_pair(name: str) -> tuple[Path, Path] | None:
    """Return vmlinux and bzImage if they are given for the kernel `name`, else None.

    They stand for the one kernel that KERNEL names, PREFERRED without it. Raises GivenError
    where one of them is missing or no kernel.
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
    """Take the pair that is given for the kernel `name` out of the environment, if one is."""
    if given_pair(name):
        for variable in _VARIABLES:
            del os.environ[variable]


def release_of(bzimage: Path) -> str:
    """Return the release that a bzImage states, what `uname -r` says; raise SetupError."""
    with bzimage.open("rb") as file:
        head = file.read(1 << 16)
    start = int.from_bytes(head[_VERSION], "little") + _HEADER
    release = head[start : start + _LONGEST].partition(b"\0")[0].partition(b" ")[0]
    if head[_MAGIC] != b"HdrS" or start == _HEADER or not release:
        raise SetupError(f"{bzimage} is not a bzImage: its boot header states no release")
    return release.decode("ascii", "replace")
