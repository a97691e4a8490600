# SPDX-License-Identifier: GPL-2.0-or-later
"""The legacy region, against values written down from the SDM's tables."""

import struct

import pytest
from fpu_images import float80, legacy

from gdbfpu.errors import CorruptState
from gdbfpu.xsave.legacy import EMPTY, SPECIAL, VALID, ZERO, parse_fsave, parse_fxsave

ONE = float80(0, 16383, 1 << 63)
NUL = bytes(10)
INFINITY = float80(1, 0x7FFF, 1 << 63)
UNNORMAL = float80(0, 16383, 1 << 62)


def test_fields():
    image = legacy(fcw=0x27F, fsw=0x1804, ftw=0xF8, mxcsr=0x1FA0, mxcsr_mask=0x2FFFF)
    struct.pack_into("<HQQ", image, 6, 0xFD9E, 0x1122334455667788, 0x99AABBCCDDEEFF00)
    image = parse_fxsave(bytes(image))
    x87 = image.x87
    assert (x87.fcw, x87.fsw, x87.fop) == (0x27F, 0x1804, 0x59E)
    assert (x87.fip, x87.fdp) == (0x1122334455667788, 0x99AABBCCDDEEFF00)
    assert (image.ftw_byte, image.mxcsr, image.mxcsr_mask) == (0xF8, 0x1FA0, 0x2FFFF)


def test_tag_word_is_by_physical_register():
    """TOP is 5: ST(0) to ST(2) are R5 to R7, ST(3) is R0."""
    image = legacy(fsw=5 << 11, ftw=0b11100001, st=[ONE, NUL, INFINITY, UNNORMAL])
    x87 = parse_fxsave(bytes(image)).x87
    assert x87.top == 5
    expected = VALID << 10 | ZERO << 12 | SPECIAL << 14 | SPECIAL << 0
    expected |= EMPTY << 2 | EMPTY << 4 | EMPTY << 6 | EMPTY << 8
    assert x87.ftw == expected
    assert [x87.tag(i) for i in range(5)] == [VALID, ZERO, SPECIAL, SPECIAL, EMPTY]
    assert x87.abridged_ftw == 0b11100001


def test_mm_is_the_physical_register():
    st = [bytes([0x10 + i] * 8) + b"\xff\xff" for i in range(8)]
    x87 = parse_fxsave(bytes(legacy(fsw=3 << 11, ftw=0xFF, st=st))).x87
    assert dict(x87.mm)[3] == bytes([0x10] * 8)
    assert dict(x87.mm)[2] == bytes([0x17] * 8)
    assert [j for j, _ in x87.mm] == list(range(8))


def test_xmm_in_order():
    image = parse_fxsave(bytes(legacy(xmm=[bytes([i] * 16) for i in range(16)])))
    assert image.xmm[0] == bytes(16)
    assert image.xmm[15] == bytes([15] * 16)


def test_short_image_keeps_whole_registers():
    image = parse_fxsave(bytes(legacy(st=[ONE, ONE, ONE]))[:73])
    assert (len(image.x87.st), image.xmm) == (2, ())
    assert parse_fxsave(bytes(legacy())[:200]).xmm == (bytes(16), bytes(16))


@pytest.mark.parametrize(("parse", "size"), [(parse_fxsave, 31), (parse_fsave, 27)])
def test_too_short_to_hold_the_control_words(parse, size):
    with pytest.raises(CorruptState, match=f"this one has {size}$"):
        parse(bytes(size))


def test_fsave():
    image = struct.pack(
        "<IIIIHHIHH",
        0xFFFF0B7F,
        0xFFFF0800,
        0xFFFFAA43,
        0x08048123,
        0x23,
        0xFD9E,
        0x0804A000,
        0x2B,
        0xFFFF,
    )
    x87 = parse_fsave(image + ONE + NUL * 7)
    assert (x87.fcw, x87.fsw, x87.ftw, x87.top) == (0xB7F, 0x800, 0xAA43, 1)
    assert (x87.fip, x87.fcs, x87.fop, x87.fdp, x87.fds) == (
        0x08048123,
        0x23,
        0x59E,
        0x0804A000,
        0x2B,
    )
    assert x87.abridged_ftw == 0xFE
    assert x87.st == (ONE, *[NUL] * 7)
