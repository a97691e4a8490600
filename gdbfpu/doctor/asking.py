# SPDX-License-Identifier: GPL-2.0-or-later
"""Who answers on a line that should lead to KGDB: KGDB, kdb, a console, or nobody?"""

from __future__ import annotations

import os
import re
import select
import socket
import stat
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gdbfpu.doctor.finding import Answer, fine, limited, trouble, unknown
from gdbfpu.errors import GdbFpuError

__all__ = ("RATES", "ask", "tty_rate")

RATES = {
    int(name[1:]): value
    for name, value in vars(termios).items()
    if re.fullmatch(r"B[1-9]\d*", name)
}
"""The rates of a tty in bit/s, and what termios calls each."""

_ENTER, _WHY_STOPPED = b"\r", b"$?#3f"
_PACKET = re.compile(rb"\$[ST][0-9a-fA-F]{2}[^$#]*#[0-9a-fA-F]{2}")  # not its own question, echoed
_KDB = re.compile(rb"kdb> ")  # the variable PROMPT, kernel/debug/kdb/kdb_main.c
_QUIET = 0.7  # seconds without a byte, after which an answer is over
_LONGEST = 4.0  # seconds to read at most: a console may never fall silent
_MOST = 1 << 16  # bytes
_STOP = ("# stop the kernel: on its console, or by SysRq", "echo g > /proc/sysrq-trigger")


def ask(device: Path, baud: int | None) -> Answer:
    """Return who answers on `device`, a tty or a Unix socket; raise GdbFpuError.

    Enter makes kdb print its prompt, and KGDB ignores it. The packet `?` is one with which GDB
    begins. A kernel that runs may keep both in its UART, and answer when it stops. `baud` sets the
    rate of a tty, which is set back in the end.
    """
    try:
        with _opened(device, baud) as line:
            heard = _said(line, _ENTER)
            if not _KDB.search(heard):
                heard += _said(line, _WHY_STOPPED)
                os.write(line, b"+")  # without it, KGDB repeats its answer
    except OSError as error:
        raise GdbFpuError(f"{device}: {error.strerror}") from error
    return _judged(device, heard)


def _judged(device: Path, heard: bytes) -> Answer:
    if _PACKET.search(heard):
        return fine(f"KGDB answers on {device}")
    if _KDB.search(heard):
        return limited(
            f"kdb answers on {device}, in text. GDB's first packet makes it KGDB. If GDB says "
            "`Ignoring packet error` instead, do so by hand",
            "# at the prompt of kdb",
            "kgdb",
        )
    if not heard:
        return unknown(
            f"nobody answers on {device}: KGDB listens only while it holds the kernel", *_STOP
        )
    if sum(not 9 <= byte < 0x7F for byte in heard) * 4 > len(heard):
        return trouble(
            f"what comes from {device} is no text and no packet: the rate is wrong",
            "# give the rate of the kernel's kgdboc= by --baud, and to GDB",
            "set serial baud 115200",
        )
    return trouble(
        f"a console answers on {device}, not KGDB: the kernel runs, or kgdboc= names another line",
        *_STOP,
    )


def tty_rate(device: Path) -> int | None:
    """Return the rate of the tty `device` in bit/s, None if it cannot be read."""
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None
    try:
        speed = termios.tcgetattr(descriptor)[5]
    except termios.error:
        return None
    finally:
        os.close(descriptor)
    return next((rate for rate, value in RATES.items() if value == speed), None)


@contextmanager
def _opened(device: Path, baud: int | None) -> Iterator[int]:
    """Open `device` for a block of code, without blocking; raise OSError."""
    if stat.S_ISSOCK(device.stat().st_mode):
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(_LONGEST)
            line.connect(str(device))
            line.setblocking(False)
            yield line.fileno()
        return
    descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        with _raw(descriptor, baud):
            yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _raw(descriptor: int, baud: int | None) -> Iterator[None]:
    """Let each byte pass through a tty as it is, at `baud` bit/s, for a block of code."""
    try:
        before = termios.tcgetattr(descriptor)
        tty.setraw(descriptor, termios.TCSANOW)
        now = termios.tcgetattr(descriptor)
    except termios.error as error:
        raise OSError(*error.args) from error
    now[2] |= termios.CLOCAL | termios.CREAD
    if baud is not None:
        now[4] = now[5] = RATES[baud]
    termios.tcsetattr(descriptor, termios.TCSANOW, now)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)


def _said(line: int, question: bytes) -> bytes:
    """Return what comes after `question`, until the line is quiet."""
    os.write(line, question)
    heard = bytearray()
    end = time.monotonic() + _LONGEST
    while len(heard) < _MOST and time.monotonic() < end:
        if not select.select([line], [], [], _QUIET)[0]:
            break
        data = os.read(line, _MOST)
        if not data:
            break
        heard += data
    return bytes(heard)
