# SPDX-License-Identifier: GPL-2.0-or-later
"""The 24 hits recorded on a Linux 4.4.60: every documented pattern, value by value."""

import json
import struct
from pathlib import Path

import pytest

from gdbfpu.xsave.decode import decode
from gdbfpu.xsave.places import Tables

PATH = Path(__file__).parents[1] / "data" / "linux-4.4.60" / "hits.json"
RECORD = json.loads(PATH.read_text())
HITS = RECORD["hits"]
HEAD = 64  # bytes of struct fpu before its state
TABLES = Tables(
    "kernel", RECORD["xfeatures_mask"], RECORD["xstate_offsets"], RECORD["xstate_sizes"]
)
IDS = [f"{i}-{hit['comm']}" for i, hit in enumerate(HITS)]


def decoded(hit):
    return decode(bytes.fromhex(hit["fpu_bytes"])[HEAD:], tables=TABLES)


def saved(comm):
    """The hits of a program whose state had been saved: all but each one's first."""
    return [decoded(hit) for hit in HITS if hit["comm"] == comm and hit["header"]["xfeatures"]]


@pytest.mark.parametrize("hit", HITS, ids=IDS)
def test_scalars_are_those_that_gdb_read(hit):
    """GDB read the scalars from DWARF; a clear header bit makes them initial, as they are here."""
    image = decoded(hit)
    assert (image.format, image.places, image.defects) == ("standard", "kernel", ())
    assert image.xfeatures == hit["header"]["xfeatures"]
    assert image.xcomp_bv == hit["header"]["xcomp_bv"]
    names = {"cwd": "fcw", "swd": "fsw", "fop": "fop", "rip": "fip", "rdp": "fdp"}
    names.update({"twd": "ftw", "mxcsr": "mxcsr", "mxcsr_mask": "mxcsr_mask"})
    for field, name in names.items():
        assert int.from_bytes(image.register(name).raw, "little") == hit["fxsave"][field]


def test_every_program_was_saved():
    counts = {comm: len(saved(comm)) for comm in RECORD["programs"]}
    assert counts == {"Xorg": 4, "x87calc": 4, "mmxplay": 4, "audiod": 4, "intonly": 0}


def test_first_hits_are_initial():
    first = [decoded(hit) for hit in HITS if not hit["header"]["xfeatures"]]
    assert len(first) == 8
    for image in first:
        assert all(register.initial or register.component == 1 for register in image.registers)
        assert not any(component.changed for component in image.components)


def test_xorg_pattern():
    for image in saved("Xorg"):
        for i in range(16):
            expected = bytes((i << 4 | j & 15) ^ (0xFF if j >= 16 else 0) for j in range(32))
            assert image.register(f"ymm{i}").raw == expected
            assert image.register(f"xmm{i}").raw == expected[:16]
        assert [c.changed for c in image.components] == [False, True, True]


def test_x87calc_pattern():
    for image in saved("x87calc"):
        assert image.register("fcw").raw == struct.pack("<H", 0x0B7F)
        assert image.register("fcw").views["rounding"] == "up"
        assert image.register("fsw").raw == struct.pack("<H", 0x1804)
        assert image.register("fsw").views["top"] == 3
        assert image.register("fsw").views["flags"] == ("ZE",)
        stack = [image.register(f"st{i}").views for i in range(8)]
        assert [v["decimal"] for v in stack[:5]] == [
            "inf",
            "-0",
            "-2.25",
            "1.5",
            "3.1415926535897932385",
        ]
        assert stack[4]["hexfloat"] == "0x1.921fb54442d1846ap+1"
        assert [v["tag"] for v in stack] == [
            "special",
            "zero",
            "valid",
            "valid",
            "valid",
            "empty",
            "empty",
            "empty",
        ]
        assert [c.changed for c in image.components] == [True, False, False]


def test_mmxplay_pattern():
    for image in saved("mmxplay"):
        for i in range(8):
            assert image.register(f"mm{i}").raw == bytes([(0x11 * i + 3) & 0xFF] * 8)
        assert image.register("ftw").views["abridged"] == "0xff"


def test_audiod_pattern():
    for image in saved("audiod"):
        mxcsr = image.register("mxcsr")
        assert mxcsr.raw == struct.pack("<I", 0xFFC0)
        assert (mxcsr.views["ftz"], mxcsr.views["daz"]) == (True, True)
        assert mxcsr.views["rounding"] == "toward zero"
        assert {"IM", "DM", "ZM", "OM", "UM", "PM"} <= set(mxcsr.views["flags"])
        assert image.register("xmm7").views["v2_double"] == (3.14159265358979, -1e300)
        floats = struct.unpack("<4f", struct.pack("<4f", 1, -2.5, 1e-40, 6.02e23))
        assert image.register("xmm12").views["v4_float"] == floats
