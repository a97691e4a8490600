# SPDX-License-Identifier: GPL-2.0-or-later
"""Images of FPU state: of each format, with the CPU's own tables, or with hostile ones.

The first byte of an input says how to decode the others; tables are at its end.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

from gdbfpu.xsave.cpus import Cpu
from gdbfpu.xsave.decode import decode
from gdbfpu.xsave.formats import FORMATS
from gdbfpu.xsave.image import FpuImage
from gdbfpu.xsave.places import ARCHITECTURE, Tables
from gdbfpu.xsave.text import render_table, to_json
from tests.torture.fuzz.hurting import number, some_bytes
from tests.torture.fuzz.target import ROOT, Target

__all__ = ("TARGET", "check")

_CPU = ROOT / "tests/data/cpu"
_HOW = ("auto", *FORMATS)
_TABLES = 4  # none, Intel's, AMD's, those of the input
_TABLE = struct.Struct("<Q64I64I")  # mask; offsets and sizes
_FIELDS = (  # place and size of what the decoder believes
    *((0, 2), (2, 2), (4, 1), (24, 4), (28, 4), (464, 4), (468, 4), (472, 8), (480, 4)),
    *((512, 8), (512, 1), (520, 8), (527, 1), (528, 8), (576 + 464, 4), (576 + 480, 4)),
)
_JSON, _TABLE_TEXT = 150, 3000  # one of so many images is printed


def _seeds(_: Path) -> Iterator[bytes]:
    for file in sorted(_CPU.glob("*/*.bin")):
        for how in range(len(_HOW)):
            yield bytes((how,)) + file.read_bytes()
    for image in sorted(_CPU.glob("*/full-xsave*.bin")):
        tables = _TABLE.pack(7, 0, 0, 576, *[0] * 61, 0, 0, 256, *[0] * 61)
        for how in (1, 2):
            yield bytes((how + 3 * len(_HOW),)) + image.read_bytes() + tables


def _read(data: bytes) -> None:
    how, image = data[:1] or b"\0", data[1:]
    tables, format = divmod(how[0] % (len(_HOW) * _TABLES), len(_HOW))
    given = ARCHITECTURE
    if tables == 3 and len(image) > _TABLE.size:
        mask, *rows = _TABLE.unpack(image[-_TABLE.size :])
        image = image[: -_TABLE.size]
        given = Tables("kernel", mask or None, rows[:64], rows[64:], rows[:64])
    elif tables:
        given = Tables(cpu=Cpu.INTEL if tables == 1 else Cpu.AMD)
    check(decode(image, format=_HOW[format], tables=given), zlib.crc32(data))


def check(image: FpuImage, draw: int) -> None:
    """Check that `image` is whole; `draw`, a random number, says whether to print it, too."""
    names = [register.name for register in image.registers]
    assert len(set(names)) == len(names)
    assert all(register.raw for register in image.registers)
    assert all("\n" not in line for line in (*image.defects, *image.notes, image.reason))
    if not draw % _JSON:
        json.dumps(to_json(image), allow_nan=False)
    if not draw % _TABLE_TEXT:
        assert all(map(str.isprintable, render_table(image).splitlines()))


def _hurt(data: bytearray, random: Random) -> bytes:
    for _ in range(random.choice((1, 1, 2, 4))):
        kind = random.random()
        if kind < 0.6:
            at, size = random.choice(_FIELDS)
            number(data, 1 + at + random.choice((0, 0, 0, 112)), size, random)
        elif kind < 0.7 and data:
            data[0] = random.randrange(len(_HOW) * _TABLES)
        elif kind < 0.8:
            del data[random.choice((1, 108, 112, 512, 576, 832, 840, 2432, 2696)) + 1 :]
        elif kind < 0.9:
            data += bytes(random.choice((1, 64, 256, 8192)))
        else:
            some_bytes(data, 0, len(data), random)
    return bytes(data)


TARGET = Target("XSAVE images and signal frames", 100_000, _seeds, _read, _hurt, 12 << 10)
