# SPDX-License-Identifier: GPL-2.0-or-later
"""Core files of processes: their program headers, their notes, and the images in these."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from random import Random

from gdbfpu.xsave.core import read_core
from gdbfpu.xsave.decode import decode
from gdbfpu.xsave.places import ARCHITECTURE
from tests.torture.fuzz.hurting import number, some_bytes
from tests.torture.fuzz.target import ROOT, Target
from tests.torture.fuzz.xsave import check
from tests.unit import core_files

__all__ = ("TARGET",)

_CPU = ROOT / "tests/data/cpu"
_NOTE = struct.Struct("<III")
_HEADERS = {  # of a program header, by class: where it begins, where its numbers are
    1: (52, ((4, 4), (16, 4))),
    2: (64, ((8, 8), (32, 8))),
}


def _seeds(_: Path) -> Iterator[bytes]:
    image = (_CPU / "amd-epyc/full-xsave.bin").read_bytes()
    fxsave = (_CPU / "amd-epyc/full-fxsave64.bin").read_bytes()
    note, state = core_files.note, core_files.xstate
    layout = core_files.layout((2, 256, 576), (9, 4, 2688), (18, 8192, 2752))
    for bits, machine in ((64, 62), (32, 3), (32, 62)):
        first, second = (core_files.prstatus(lwp, bits) for lwp in (7, 8))
        yield core_files.core(first, state(image), second, state(image[:576]), bits=bits)
        yield core_files.core(first, state(image), layout, bits=bits, machine=machine)
        other = note(b"CORE", core_files.PRFPREG, fxsave[: 512 if bits == 64 else 108])
        yield core_files.core(first, other, second, other, bits=bits, machine=machine)
        yield core_files.core(note(b"LINUX", core_files.PRXFPREG, fxsave), bits=bits, gap=100)


def _read(data: bytes) -> None:
    draw = zlib.crc32(data)
    lwp = None if draw % 8 else 8
    threads, tables = read_core(data[:8], BytesIO(data[8:]), lwp)
    assert lwp is None or {thread.lwp for thread in threads} == {lwp}
    for thread in threads:
        image = decode(thread.image, format=thread.format, tables=tables or ARCHITECTURE)
        check(image, draw)


def _hurt(data: bytearray, random: Random) -> bytes:
    for _ in range(random.choice((1, 1, 2, 4))):
        kind, notes = random.random(), _notes(bytes(data))
        if kind < 0.2:
            start, places = _HEADERS.get(data[4] if len(data) > 4 else 0, _HEADERS[2])
            at, size = random.choice(places)
            number(data, start + at, size, random)
        elif kind < 0.3:
            some_bytes(data, 0, min(len(data), 64), random)
        elif kind < 0.7 and notes:
            number(data, random.choice(notes) + random.choice((0, 4, 8)), 4, random)
        elif kind < 0.8 and notes:
            start = random.choice(notes)
            data += data[start : start + random.choice((20, 360, 900, 3000))]
        elif kind < 0.9:
            del data[random.randrange(len(data) + 1) :]
        else:
            some_bytes(data, 0, len(data), random)
    return bytes(data)


def _notes(data: bytes) -> list[int]:
    """Return where notes begin."""
    names = (b"CORE\0", b"LINUX\0")
    found = [data.find(name, at) for name in names for at in range(64, len(data), 300)]
    return sorted({at - _NOTE.size for at in found if at >= _NOTE.size})


TARGET = Target("core files of processes", 5_000, _seeds, _read, _hurt, 12 << 10)
