# SPDX-License-Identifier: GPL-2.0-or-later
"""How an image's format and its places are told."""

import struct

import pytest
from fpu_images import put, xsave

from gdbfpu.errors import UsageError
from gdbfpu.xsave.decode import decode
from gdbfpu.xsave.formats import detect
from gdbfpu.xsave.places import Tables

BIT63 = 1 << 63


def sized(image, size):
    return bytes(put(image, size - 1, b"\0"))[:size]


@pytest.mark.parametrize(
    ("image", "format", "reason"),
    [
        (bytes(108), "fsave", "it has 108 bytes"),
        (bytes(112), "sigframe", "it has 112 bytes"),
        (bytes(512), "fxsave", "it has 512 bytes"),
        (sized(xsave(7), 832), "standard", "XCOMP_BV[63] is clear"),
        (sized(xsave(7, BIT63 | 7), 832), "compacted", "XCOMP_BV[63] is set"),
        (sized(xsave(0x2E7, BIT63 | 0x2E7), 2440), "compacted", "XCOMP_BV[63] is set"),
        (sized(xsave(7), 2696), "standard", "XCOMP_BV[63] is clear"),
    ],
)
def test_auto(image, format, reason):
    assert detect(image) == (format, reason)


@pytest.mark.parametrize("size", [840, 2432, 2440])
def test_sizes_of_two_formats_are_asked_about(size):
    with pytest.raises(UsageError) as caught:
        decode(sized(xsave(7), size))
    assert str(caught.value) == (
        f"{size} bytes without XCOMP_BV[63] can be two formats; say --image standard or compacted"
    )


@pytest.mark.parametrize("size", [0, 1, 107, 511, 513, 575])
def test_sizes_of_no_format_are_asked_about(size):
    with pytest.raises(UsageError, match="say --image standard, compacted, fxsave, fsave or sig"):
        detect(bytes(size))


def test_xcr0_of_ptrace_makes_it_standard():
    image = put(xsave(7), 464, struct.pack("<Q", 0x2E7))
    assert detect(sized(image, 2440)) == (
        "standard",
        "XCOMP_BV[63] is clear and XCR0 is at byte 464",
    )
    decoded = decode(sized(image, 2440))
    assert decoded.component("PKRU").offset == 2432


def test_signal_frames():
    image = sized(put(xsave(7), 464, b"SXPF"), 836)
    assert detect(image) == ("sigframe", "FP_XSTATE_MAGIC1 is at byte 464")
    assert detect(bytes(112) + image) == ("sigframe", "FP_XSTATE_MAGIC1 is at byte 576")


@pytest.mark.parametrize("size", [468, 512, 575])
def test_signal_frame_cut_short(size):
    """Its magic1 says more than its size does."""
    sw_reserved = struct.pack("<IIQI", 0x46505853, 836, 7, 832)
    image = decode(bytes(put(xsave(7), 464, sw_reserved))[:size])
    assert (image.format, image.reason) == ("sigframe", "FP_XSTATE_MAGIC1 is at byte 464")
    assert image.defects == (
        "the frame promises 832 bytes of state; the image is short"
        if size >= 484
        else "the image ends inside sw_reserved, which has the frame's sizes",
        f"short: {size} of 576 bytes",
    )


def test_32_bit_signal_frame_cut_short():
    sw_reserved = struct.pack("<IIQI", 0x46505853, 948, 7, 832)
    image = decode(bytes(112) + bytes(put(xsave(7), 464, sw_reserved))[:512])
    assert (image.format, image.frame.ia32) == ("sigframe", True)
    assert "the frame promises 832 bytes of state; the image is short" in image.defects


def test_unknown_format_names_the_choices():
    with pytest.raises(UsageError, match="say one of auto, standard, compacted, fxsave, fsave"):
        decode(bytes(512), format="elf")


@pytest.mark.parametrize(
    ("size", "offsets"),
    [
        (840, {"AVX": 576, "PKRU": 832}),
        (2432, {"opmask": 832, "ZMM_Hi256": 896, "Hi16_ZMM": 1408}),
        (2440, {"opmask": 832, "ZMM_Hi256": 896, "Hi16_ZMM": 1408, "PKRU": 2432}),
    ],
)
def test_amd_places_by_size(size, offsets):
    image = decode(sized(xsave(7), size), format="standard")
    assert {name: image.component(name).offset for name in offsets} == offsets
    assert image.places == "architecture, AMD's as the size shows"
    assert image.defects == ()


def test_intel_places_by_default():
    image = decode(sized(xsave(0xE7), 2696))
    assert [c.offset for c in image.components] == [0, 160, 576, 1088, 1152, 1664, 2688]
    assert image.places == "architecture, Intel's as the size shows"


def test_mpx_and_apx_only_when_their_bits_are_set():
    names = [c.name for c in decode(sized(xsave(7), 2696)).components]
    assert "BNDREGS" not in names
    names = [c.name for c in decode(sized(xsave(0x1F), 1088)).components]
    assert names == ["x87", "SSE", "AVX", "BNDREGS", "BNDCSR"]


def test_tables_of_a_kernel():
    tables = Tables(
        "kernel",
        0xE7,
        [0, 160, 576, -1, -1, 832, 896, 1408],
        [160, 256, 256, -1, -1, 64, 512, 1024],
    )
    image = decode(sized(xsave(7), 4096), format="standard", tables=tables)
    assert [c.offset for c in image.components] == [0, 160, 576, 832, 896, 1408]
    assert image.places == "kernel"


def test_compacted_without_bit_63_takes_the_kernels_mask():
    image = put(xsave(0x204), 832, b"\x54\x55\x55\x55\0\0\0\0")
    decoded = decode(bytes(image), format="compacted", tables=Tables("kernel", 0x207))
    assert decoded.register("pkru").views["value"] == 0x55555554
    assert decoded.defects == ("xcomp_bv is 0x0: bit 63 is clear in a compacted image",)
    assert decoded.places == "kernel, without XCOMP_BV[63]"


def test_compacted_2440_without_bit_63():
    image = put(xsave(0x200), 2432, b"\x54\x55\x55\x55\0\0\0\0")
    decoded = decode(bytes(image), format="compacted")
    assert decoded.register("pkru").views["value"] == 0x55555554
