# SPDX-License-Identifier: GPL-2.0-or-later
"""Signal frames of 64-bit and 32-bit tasks, made by hand after the kernel's structs."""

import struct

import pytest
from fpu_images import float80, legacy, put, xsave

from gdbfpu.xsave.decode import decode

ONE = float80(0, 16383, 1 << 63)
TWO = float80(0, 16384, 1 << 63)
MAGIC1, MAGIC2 = 0x46505853, 0x46505845


def frame(xfeatures=7, mask=7, size=832, extended=836, magic2=MAGIC2, front=b"", **fields):
    image = put(xsave(xfeatures, **fields), 831, b"\0")
    put(image, 464, struct.pack("<IIQI", MAGIC1, extended, mask, size))
    return front + bytes(image) + struct.pack("<I", magic2)


def fregs(st, fcw=0x37F, fsw=7 << 11, tags=0x3FFF):
    words = struct.pack("<III", 0xFFFF0000 | fcw, 0xFFFF0000 | fsw, 0xFFFF0000 | tags)
    return (words.ljust(28, b"\0") + st).ljust(112, b"\0")


def test_64_bit_frame():
    image = decode(frame(xmm=[b"\1" * 16]))
    assert (image.format, image.xfeatures, image.defects) == ("sigframe", 7, ())
    assert image.register("xmm0").raw == b"\1" * 16
    assert image.frame.magic2 == MAGIC2
    assert not image.frame.ia32


def test_32_bit_frame_takes_x87_from_its_fsave_image():
    front = fregs(ONE)
    fields = {"fsw": 7 << 11, "ftw": 0x80, "st": [ONE], "xmm": [b"\1" * 16]}
    image = decode(frame(extended=948, front=front, **fields))
    assert (image.format, image.defects, image.frame.ia32) == ("sigframe", (), True)
    assert image.register("st0").raw == ONE
    assert image.register("ftw").raw == b"\xff\x3f"
    assert image.register("xmm0").raw == b"\1" * 16
    names = [register.name for register in image.registers]
    assert len(set(names)) == len(names)


def test_32_bit_frame_whose_parts_differ():
    image = decode(frame(extended=948, front=fregs(TWO), fsw=7 << 11, ftw=0x80, st=[ONE]))
    assert image.register("st0").raw == TWO
    assert image.defects == ("the FSAVE and the FXSAVE image differ in st0",)


def test_frame_without_extended_state():
    image = decode(bytes(legacy(xmm=[b"\1" * 16])), format="sigframe")
    assert (image.format, image.xfeatures, image.defects) == ("sigframe", None, ())
    assert image.register("xmm0").raw == b"\1" * 16


def test_frame_of_fsave_alone():
    image = decode(fregs(ONE), format="sigframe")
    assert image.register("st0").raw == ONE
    assert image.frame.ia32


@pytest.mark.parametrize(
    ("image", "defect"),
    [
        (frame(magic2=5), "FP_XSTATE_MAGIC2 is missing: 0x5 at the end of the state"),
        (frame()[:-4], "the image ends before FP_XSTATE_MAGIC2"),
        (frame()[:700], "the frame promises 832 bytes of state; the image is short"),
        (frame(extended=900), "extended_size is 900, not 836"),
        (frame(mask=3), "xfeatures has AVX, which is not enabled"),
        (frame(xcomp_bv=1 << 63 | 7), "xcomp_bv is 0x8000000000000007; in the standard format"),
    ],
)
def test_defects(image, defect):
    assert any(found.startswith(defect) for found in decode(image, format="sigframe").defects)


def test_hostile_sizes():
    image = decode(frame(size=0xFFFFFFFF, extended=0, mask=2**64 - 1))
    assert image.register("fcw").raw == b"\x7f\x03"
    assert "the frame promises 4294967295 bytes of state; the image is short" in image.defects
    image = decode(frame(size=0, extended=4))
    assert image.register("fcw").raw == b"\x7f\x03"
    assert "short: 512 of 576 bytes" in image.defects
