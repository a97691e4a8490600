# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults that are planted: the test of the fuzzer finds them. `files` does not run this."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random

from gdbfpu.errors import CorruptState
from tests.torture.fuzz.target import Target

__all__ = ("TARGET",)


def _seeds(_: Path) -> Iterator[bytes]:
    yield from (b"fine", b"index", b"slow", b"memory", b"death")


def _read(data: bytes) -> None:
    if data == b"index":
        data[5:][0]
    elif data == b"death":
        os.kill(os.getpid(), signal.SIGBUS)
    elif data == b"memory":
        try:
            bytearray(1 << 50)
        except MemoryError as error:
            raise CorruptState("as a damaged file is refused") from error
    while data == b"slow":
        pass
    raise CorruptState("as it should be")


def _hurt(_: bytearray, random: Random) -> bytes:
    return random.choice((b"fine", b"index", b"slow", b"memory"))


TARGET = Target("planted faults", 40, _seeds, _read, _hurt, 64)
