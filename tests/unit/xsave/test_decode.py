# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of decode(): initial state, MXCSR, short and damaged images."""

import struct

import pytest
from fpu_images import float80, legacy, put, xsave

from gdbfpu.errors import UsageError
from gdbfpu.xsave.decode import decode
from gdbfpu.xsave.places import Tables

BIT63 = 1 << 63
ONE = float80(0, 16383, 1 << 63)


def stale(xfeatures, xcomp_bv=0):
    """An image full of values, whatever its header says."""
    image = xsave(
        xfeatures,
        xcomp_bv,
        fcw=0x27F,
        fsw=0x800,
        ftw=0x80,
        mxcsr=0x3F80,
        st=[ONE] * 8,
        xmm=[b"\x77" * 16] * 16,
    )
    return bytes(image + b"\x88" * 256)


def test_clear_bits_mean_the_initial_state():
    image = decode(stale(0))
    values = {register.name: register.raw for register in image.registers}
    assert values["fcw"] == b"\x7f\x03"
    assert values["fsw"] == bytes(2)
    assert values["ftw"] == b"\0"
    assert values["st0"] == bytes(10)
    assert values["mm7"] == bytes(8)
    assert values["xmm0"] == bytes(16)
    assert values["ymm15"] == bytes(32)
    assert image.register("ftw").views["full"] == "0xffff"
    assert [c.in_use for c in image.components] == [False] * 3
    assert [c.changed for c in image.components] == [True] * 3
    assert image.register("xmm0").initial
    assert image.component("AVX").raw == b"\x88" * 256


def test_set_bits_mean_memory():
    image = decode(stale(7))
    assert image.register("st0").raw == ONE
    assert image.register("ymm3").raw == b"\x77" * 16 + b"\x88" * 16
    assert not image.register("ymm3").initial
    assert [c.in_use for c in image.components] == [True] * 3


@pytest.mark.parametrize("xfeatures", [0, 1, 2, 4, 7])
def test_mxcsr_of_a_standard_image_is_memorys(xfeatures):
    mxcsr = decode(stale(xfeatures)).register("mxcsr")
    assert (mxcsr.raw, mxcsr.initial) == (b"\x80\x3f\0\0", False)


@pytest.mark.parametrize(
    ("xfeatures", "raw", "initial"),
    [
        (0, b"\x80\x1f\0\0", True),
        (4, b"\x80\x1f\0\0", True),
        (2, b"\x80\x3f\0\0", False),
        (7, b"\x80\x3f\0\0", False),
    ],
)
def test_mxcsr_of_a_compacted_image_goes_with_sse(xfeatures, raw, initial):
    mxcsr = decode(stale(xfeatures, BIT63 | 7)).register("mxcsr")
    assert (mxcsr.raw, mxcsr.initial) == (raw, initial)


def test_layout_is_xcomp_bvs_and_validity_xstate_bvs():
    image = put(xsave(0x200, BIT63 | 0x204), 832, b"\x0c\0\0\0\0\0\0\0")
    image = decode(bytes(put(image, 576, b"\x88" * 256)))
    assert image.register("pkru").views["value"] == 12
    assert image.register("ymm0").raw == bytes(32)


def test_registers_come_in_reading_order():
    image = decode(bytes(put(xsave(0xE7), 2695, b"\0")))
    names = [register.name for register in image.registers]
    assert names[:6] == ["fcw", "fsw", "ftw", "fop", "fip", "fdp"]
    assert names[6:15] == [*(f"st{i}" for i in range(8)), "mm0"]
    order = ["mm7", "mxcsr", "mxcsr_mask", "xmm0", "xmm15", "ymm0", "ymm15", "k0", "zmm0", "zmm15"]
    order += ["xmm16", "ymm16", "zmm16", "zmm31", "pkru"]
    assert [names.index(name) for name in order] == sorted(names.index(name) for name in order)
    assert len(set(names)) == len(names)


def test_fxsave_has_no_header():
    image = decode(bytes(legacy(fcw=0x27F, xmm=[b"\1" * 16])))
    assert (image.format, image.xfeatures, image.xcomp_bv) == ("fxsave", None, None)
    assert image.register("fcw").raw == b"\x7f\x02"
    assert image.register("xmm0").raw == b"\1" * 16
    assert [c.name for c in image.components] == ["x87", "SSE"]


def test_fsave():
    image = struct.pack("<III", 0xFFFF037F, 0xFFFF3800, 0xFFFF3FFF).ljust(28, b"\0") + ONE
    image = decode(image.ljust(108, b"\0"))
    assert image.register("st0").views["tag"] == "valid"
    assert image.register("ftw").raw == b"\xff\x3f"
    assert image.register("mm7").views["uint64"] == 1 << 63
    assert image.component("x87").changed
    with pytest.raises(UsageError, match="no register 'xmm0'"):
        image.register("xmm0")


def test_fsave_after_fninit_is_initial():
    image = struct.pack("<III", 0xFFFF037F, 0xFFFF0000, 0xFFFFFFFF).ljust(108, b"\0")
    assert not decode(image).component("x87").changed


@pytest.mark.parametrize(
    ("image", "format", "defect"),
    [
        (bytes(10), "fxsave", "short: 10 of 512 bytes"),
        (bytes(20), "fsave", "short: 20 of 108 bytes"),
        (bytes(560), "standard", "short: 560 of 576 bytes"),
        (bytes(0), "compacted", "short: 0 of 576 bytes"),
        (
            bytes(xsave(7)),
            "standard",
            "short: AVX (in use) is at bytes 576 to 831; the image has 576",
        ),
        (
            bytes(xsave(0, BIT63 | 4)),
            "compacted",
            "short: AVX (initial) is at bytes 576 to 831; the image has 576",
        ),
        (bytes(xsave(3, 7)), "standard", "xcomp_bv is 0x7; in the standard format it must be 0"),
        (
            bytes(xsave(7, BIT63 | 3)),
            "compacted",
            "xfeatures has AVX, for which xcomp_bv has no room",
        ),
        (bytes(xsave(BIT63 | 3)), "standard", "xfeatures has its reserved bit 63 set"),
        (
            bytes(put(xsave(3), 530, b"\1")),
            "standard",
            "the header's reserved bytes are not zero, from byte 530",
        ),
        (
            bytes(xsave(3, mxcsr=0x10001F80)),
            "standard",
            "mxcsr is 0x10001f80: reserved bits 0x10000000 are set",
        ),
        (
            bytes(xsave(3, mxcsr=0x1FC0, mxcsr_mask=0)),
            "standard",
            "mxcsr is 0x00001fc0: reserved bits 0x40 are set",
        ),
        (
            bytes(put(xsave(0x8001B), 1087, b"\0")),
            "standard",
            "APX and BNDCSR overlap at byte 1024",
        ),
    ],
)
def test_defects_are_listed(image, format, defect):
    assert defect in decode(image, format=format).defects


def test_sound_images_have_no_defect():
    assert decode(stale(7)).defects == ()
    assert decode(stale(7, BIT63 | 7)).defects == ()
    assert decode(bytes(legacy())).defects == ()


def test_what_is_not_enabled_is_a_defect():
    image = decode(stale(7), tables=Tables("kernel", 3))
    assert image.defects == ("xfeatures has AVX, which is not enabled",)
    assert image.register("ymm0").raw == b"\x77" * 16 + b"\x88" * 16


def test_short_image_shows_the_registers_that_are_whole():
    image = decode(stale(7)[:600], format="standard")
    assert image.register("ymm0").raw == b"\x77" * 16 + b"\x88" * 16
    with pytest.raises(UsageError, match="no register 'ymm1'"):
        image.register("ymm1")
    image = decode(stale(7)[:200], format="standard")
    assert image.register("xmm1").raw == b"\x77" * 16
    assert image.register("st7").raw == ONE


def test_component_in_any_case_and_the_choices():
    image = decode(stale(7))
    assert image.component("avx").number == 2
    with pytest.raises(UsageError, match=r"no component 'MPX'; it has x87, SSE, AVX$"):
        image.component("MPX")


def test_images_are_frozen_values():
    assert decode(stale(7)) == decode(stale(7))
    with pytest.raises(AttributeError):
        decode(stale(7)).format = "fxsave"


def test_each_component_of_fxsave_is_compared_with_its_own_initial_state():
    for fields, changed in (({}, [False, False]), ({"fcw": 0x27F}, [True, False]),
                            ({"xmm": [b"\1" * 16]}, [False, True])):  # fmt: skip
        image = decode(bytes(legacy(**fields)), format="fxsave")
        assert [component.changed for component in image.components] == changed
        assert image.places == "architecture"
