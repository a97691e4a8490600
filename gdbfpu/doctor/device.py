# SPDX-License-Identifier: GPL-2.0-or-later
"""The device that leads to the machine: is it there, may one use it, how much does it carry?"""

from __future__ import annotations

import grp
import os
import stat
from pathlib import Path

from gdbfpu.doctor.asking import tty_rate
from gdbfpu.doctor.finding import Answer, fine, not_applicable, trouble, unknown
from gdbfpu.doctor.line import USB_SERIAL, Line, arithmetic, latency_timer

__all__ = ("adapters", "rate_answer", "rights_answer")

_READ_WRITE = os.R_OK | os.W_OK


def adapters(folder: Path = USB_SERIAL) -> tuple[str, ...]:
    """Return the ttys of the USB serial adapters that Linux lists."""
    try:
        return tuple(sorted(path.name for path in folder.iterdir()))
    except OSError:
        return ()


def rights_answer(device: Path) -> Answer:
    """Return whether this user may use `device`."""
    try:
        told = device.stat()
    except OSError as error:
        there = ", ".join(f"/dev/{name}" for name in adapters()) or "no USB adapter"
        return trouble(f"{error.strerror}. Linux lists {there}", "ls /dev/tty*[0-9]")
    if not (stat.S_ISCHR(told.st_mode) or stat.S_ISSOCK(told.st_mode)):
        return trouble("this is no tty and no Unix socket", "ls /dev/tty*[0-9]")
    if os.access(device, _READ_WRITE):
        return fine("you may read and write it")
    group = _group(told.st_gid)
    return trouble(
        f"you may not read and write it; it belongs to the group {group}",
        f"sudo usermod -aG {group} $USER",
        "# and log in again",
    )


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def rate_answer(device: Path | None, baud: int | None) -> Answer:
    """Return what fits through `device` at `baud` bit/s, or at the rate that the tty has now."""
    rate = baud or (tty_rate(device) if device else None)
    if rate is None and device is not None and device.is_char_device():
        return unknown(f"the rate of {device} cannot be read")
    if rate is None:
        return not_applicable("no serial line is named")
    name = device.resolve().name if device else ""  # what /dev/serial/by-id/... points to
    timer = latency_timer(name) if name else None
    return arithmetic(Line(rate, timer or 0), name if timer is not None else "")
