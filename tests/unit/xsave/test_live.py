# SPDX-License-Identifier: GPL-2.0-or-later
"""Registers of a CPU in an image: their places are those of the SDM, volume 1, 10.5.1 and 13.5."""

from __future__ import annotations

import pytest

from gdbfpu.errors import CorruptState
from gdbfpu.xsave.area import compacted_spans, standard_spans
from gdbfpu.xsave.decode import decode
from gdbfpu.xsave.live import overlaid, placed, source_of

ALL = 0x800E7  # x87, SSE, AVX, AVX-512, APX
SPANS = standard_spans(ALL)
SIZE = 2696
EVERY = {
    "fcw": b"\x7f\x02", "fsw": b"\x04\x18", "ftw": b"\xf8", "mxcsr": b"\x80\x9f\0\0",
    **{f"st{i}": bytes([0x50 + i] * 10) for i in range(8)},
    **{f"k{i}": bytes([0x90 + i] * 8) for i in range(8)},
    **{f"zmm{i}": bytes((3 * i + j) & 0xFF for j in range(64)) for i in range(32)},
    **{f"r{i}": bytes([i] * 8) for i in range(16, 32)},
}  # fmt: skip


def image_of(xfeatures, fill=0xEE):
    return (
        bytes([fill] * 512)
        + xfeatures.to_bytes(8, "little")
        + bytes(56)
        + bytes([fill] * (SIZE - 576))
    )


@pytest.mark.parametrize("xfeatures", [0, ALL])
def test_each_register_reads_back(xfeatures):
    image = decode(overlaid(image_of(xfeatures), SPANS, EVERY), format="standard")
    assert {name: image.register(name).raw for name in EVERY} == EVERY
    for i in range(32):
        assert image.register(f"xmm{i}").raw == EVERY[f"zmm{i}"][:16]
        assert image.register(f"ymm{i}").raw == EVERY[f"zmm{i}"][:32]


def test_places_of_the_standard_format():
    places = {part.name: (part.number, part.at) for part in placed(EVERY, SPANS)}
    assert [places[name] for name in ("fcw", "fsw", "ftw", "st7")] == [
        (0, 0),
        (0, 2),
        (0, 4),
        (0, 144),
    ]
    assert places["mxcsr"] == (1, 24)
    assert places["k7"] == (5, 1088 + 56)
    assert places["zmm31"] == (7, 1664 + 15 * 64)
    assert places["r17"] == (19, 960 + 8)
    assert [part[1:3] for part in placed({"zmm2": bytes(64)}, SPANS)] == [
        (1, 192), (2, 576 + 32), (6, 1152 + 64),
    ]  # fmt: skip


def test_compacted_places():
    spans = compacted_spans(1 << 63 | 0xE7)
    assert [part[1:3] for part in placed({"k1": bytes(8), "zmm16": bytes(64)}, spans)] == [
        (5, 832 + 8), (7, 832 + 64 + 512),
    ]  # fmt: skip


def test_what_the_image_has_no_room_for_is_left_out():
    registers = {"zmm1": b"\x01" * 64, "k0": b"\x02" * 8, "r16": b"\x03" * 8}
    spans = standard_spans(3)
    assert [part.number for part in placed(registers, spans)] == [1]
    cut = image_of(0)[:700]  # AVX ends at 832
    assert len(overlaid(cut, standard_spans(7), registers)) == 700


def test_stale_bytes_do_not_come_back_with_a_part_of_their_component():
    """Memory has old AVX and SSE registers behind clear bits: only those of the CPU may show."""
    shown = {"ymm1": bytes(range(32)), "st0": b"\x01" * 10}
    image = decode(overlaid(image_of(0), standard_spans(7), shown), format="standard")
    assert image.register("ymm1").raw == bytes(range(32))
    for i in {*range(16)} - {1}:
        assert image.register(f"ymm{i}").raw == bytes(32)
    assert image.register("st1").raw == bytes(10)
    assert image.register("fcw").raw == b"\x7f\x03"
    assert image.register("ftw").raw == b"\0"
    kept = decode(overlaid(image_of(7), standard_spans(7), shown), format="standard")
    assert kept.register("ymm2").raw == b"\xee" * 32


def test_fxsave_has_no_header():
    fxsave = overlaid(bytes(512), standard_spans(3), {"xmm3": b"\x07" * 16})
    assert len(fxsave) == 512
    assert decode(fxsave, format="fxsave").register("xmm3").raw == b"\x07" * 16


@pytest.mark.parametrize(
    ("name", "value"),
    [("ymm16", bytes(32)), ("xmm16", bytes(16)), ("ymm1", bytes(16)), ("st8", bytes(10)),
     ("ymm01", bytes(32)), ("", b""), ("r15", bytes(8)), ("zmm99999", bytes(64)),
     ("mm0", bytes(8))],
)  # fmt: skip
def test_no_such_register(name, value):
    with pytest.raises(CorruptState, match=r"^no register is called .* and has \d+ bytes$"):
        list(placed({name: value}, SPANS))


def test_sources():
    ymm = {"st0", "ftw", "mxcsr", "ymm3"}
    assert [source_of(name, ymm) for name in ("st0", "mm5", "ftw", "mxcsr", "ymm3", "xmm3")] == [
        "CPU"
    ] * 6
    assert [
        source_of(name, ymm) for name in ("fop", "st1", "mxcsr_mask", "xmm2", "pkru", "k0")
    ] == (["memory"] * 6)
    assert source_of("zmm3", ymm) == source_of("ymm0", {"xmm0"}) == "low half CPU, rest memory"
    assert source_of("zmm0", {"xmm0"}) == "low quarter CPU, rest memory"
    assert source_of("xmm20", {"zmm20"}) == source_of("ymm20", {"zmm20"}) == "CPU"
    assert source_of("mm0", {"xmm0"}) == "memory"
