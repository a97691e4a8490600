# SPDX-License-Identifier: GPL-2.0-or-later
"""Views of registers, against struct and numbers written down."""

import struct

import pytest

from gdbfpu.xsave.components.views import (
    bfloat16s,
    flag_names,
    floats,
    hex_value,
    integer_vector,
    integers,
    vector,
)

RAW = bytes(range(120, 184))


def test_integers_of_every_width():
    assert integers(b"\xff\x00\xfe\x01", 1) == (-1, 0, -2, 1)
    assert integers(b"\xff\x00\xfe\x01", 2) == (255, 0x1FE)
    assert integers(b"\x00\x80", 2) == (-32768,)
    assert integers(b"\x00\x80", 2, signed=False) == (32768,)
    assert integers(b"\x01\x02\x03", 2) == (0x201,)


def test_floats_that_are_not_finite_keep_their_bits():
    raw = struct.pack("<4I", 0x7F800000, 0xFF800000, 0x7FC00001, 0xFF800001)
    assert floats(raw, 4) == ("inf", "-inf", "nan(0x7fc00001)", "nan(0xff800001)")
    assert floats(struct.pack("<H", 0x7E01), 2) == ("nan(0x7e01)",)
    assert floats(struct.pack("<Q", 0x7FF0000000000001), 8) == ("nan(0x7ff0000000000001)",)


def test_small_floats():
    assert floats(struct.pack("<2H", 0x3C00, 0xC100), 2) == (1.0, -2.5)
    assert bfloat16s(struct.pack("<4H", 0x3F80, 0xC020, 0x7F80, 0x7FC1)) == (
        1.0,
        -2.5,
        "inf",
        "nan(0x7fc1)",
    )


@pytest.mark.parametrize("size", [16, 32, 64])
def test_vector_agrees_with_struct(size):
    raw = RAW[:size]
    views = vector(raw)
    assert views[f"v{size}_int8"] == struct.unpack(f"<{size}b", raw)
    assert views[f"v{size // 2}_int16"] == struct.unpack(f"<{size // 2}h", raw)
    assert views[f"v{size // 4}_int32"] == struct.unpack(f"<{size // 4}i", raw)
    assert views[f"v{size // 8}_int64"] == struct.unpack(f"<{size // 8}q", raw)
    assert views[f"v{size // 4}_float"] == struct.unpack(f"<{size // 4}f", raw)
    assert len(views[f"v{size // 8}_double"]) == size // 8
    assert len(views[f"v{size // 2}_half"]) == len(views[f"v{size // 2}_bfloat16"]) == size // 2


def test_widest_integers():
    assert vector(RAW[:16])["uint128"] == int.from_bytes(RAW[:16], "little")
    assert vector(RAW[:32])["v2_int128"][1] == int.from_bytes(RAW[16:32], "little") - 2**128


def test_mmx_views():
    assert integer_vector(b"\x01\0\0\0\xff\xff\xff\xff") == {
        "v8_int8": (1, 0, 0, 0, -1, -1, -1, -1),
        "v4_int16": (1, 0, -1, -1),
        "v2_int32": (1, -1),
        "uint64": 0xFFFFFFFF00000001,
    }


def test_hex_has_all_digits():
    assert hex_value(b"\x7f\x03") == "0x037f"


def test_unknown_flags_are_shown():
    assert flag_names(0b1011, {0: "IE", 1: "DE"}) == ("IE", "DE", "bit 3")
    assert flag_names(0b1011, {0: "IE"}, fields=0b1010) == ("IE",)
