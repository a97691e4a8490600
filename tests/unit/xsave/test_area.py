# SPDX-License-Identifier: GPL-2.0-or-later
"""Header and placement, against numbers written down from the SDM and from CPUs' own CPUID."""

import pytest
from fpu_images import legacy, put, xsave

from gdbfpu.errors import CorruptState
from gdbfpu.xsave.area import (
    Span,
    XsaveHeader,
    changed,
    compacted_spans,
    in_use,
    parse_header,
    residue,
    standard_spans,
)

BIT63 = 1 << 63
ABSENT = 0xFFFFFFFF


def places(spans):
    return [(span.number, span.offset, span.size) for span in spans]


def test_header_fields():
    image = xsave(0x2E7, BIT63 | 0x2E7)
    image[575] = 9
    header = parse_header(bytes(image))
    assert (header.xfeatures, header.xcomp_bv) == (0x2E7, BIT63 | 0x2E7)
    assert header.reserved == bytes(47) + b"\x09"
    assert header.compacted


def test_header_without_bit_63_is_standard():
    assert not parse_header(bytes(xsave(7, 7))).compacted


@pytest.mark.parametrize("size", [0, 512, 575])
def test_header_of_a_short_image(size):
    with pytest.raises(CorruptState, match=f"this one has {size}$"):
        parse_header(bytes(size))


def test_in_use_ignores_bit_63():
    assert in_use(XsaveHeader(BIT63 | 5, 0, b"")) == 5


def test_standard_places_are_intels_by_default():
    assert places(standard_spans(0x602FF)) == [
        (0, 0, 160),
        (1, 160, 256),
        (2, 576, 256),
        (3, 960, 64),
        (4, 1024, 64),
        (5, 1088, 64),
        (6, 1152, 512),
        (7, 1664, 1024),
        (9, 2688, 8),
        (17, 2752, 64),
        (18, 2816, 8192),
    ]


def test_standard_apx_lies_in_the_place_of_mpx():
    assert places(standard_spans(1 << 19)) == [(19, 960, 128)]


def test_standard_leaves_out_what_has_no_place():
    assert standard_spans(1 << 11 | 1 << 42 | BIT63) == ()


def test_kernel_tables_go_first_and_mark_absent():
    offsets = [ABSENT, ABSENT, 576, ABSENT, -1, 832, 896, 0]
    sizes = [ABSENT, ABSENT, 256, 64, 64, 64, 512, 1024]
    assert places(standard_spans(0x2FF, offsets, sizes)) == [
        (0, 0, 160),
        (1, 160, 256),
        (2, 576, 256),
        (5, 832, 64),
        (6, 896, 512),
        (9, 2688, 8),
    ]


def test_garbage_offset_of_an_absent_component_is_ignored():
    """Linux 4.4 has such an xstate_offsets[8]."""
    offsets = {2: 576, 8: 2166927648}
    assert places(standard_spans(0x104, offsets, {2: 256, 8: ABSENT})) == [(2, 576, 256)]


def test_compacted_places_of_avx512_and_pkru():
    assert places(compacted_spans(BIT63 | 0x2E7)) == [
        (0, 0, 160),
        (1, 160, 256),
        (2, 576, 256),
        (5, 832, 64),
        (6, 896, 512),
        (7, 1408, 1024),
        (9, 2432, 8),
    ]


def test_compacted_aligns_tiles():
    """After PKRU at 2432 comes TILECFG at 2496, not 2440: CPUID.(0xD,17):ECX[1] is 1."""
    assert places(compacted_spans(BIT63 | 0x602E7))[-2:] == [(17, 2496, 64), (18, 2560, 8192)]


def test_compacted_alignment_from_a_table():
    assert places(compacted_spans(0x204, {2: 250}, {9: 1})) == [(2, 576, 250), (9, 832, 8)]
    assert places(compacted_spans(0x204, {2: 250}, {9: 0})) == [(2, 576, 250), (9, 826, 8)]
    assert places(compacted_spans(1 << 17 | 0x200, None, [0] * 18)) == [(9, 576, 8), (17, 584, 64)]


def test_compacted_has_supervisor_components_in_number_order():
    assert places(compacted_spans(BIT63 | 0x1A04)) == [
        (2, 576, 256),
        (9, 832, 8),
        (11, 840, 16),
        (12, 856, 24),
    ]


def test_compacted_walk_ends_where_a_size_is_unknown():
    assert places(compacted_spans(BIT63 | 1 << 30 | 4 | 1 << 40)) == [(2, 576, 256)]
    known = compacted_spans(BIT63 | 1 << 30 | 4 | 1 << 40, {30: 16, 40: 8})
    assert places(known) == [(2, 576, 256), (30, 832, 16), (40, 848, 8)]


SPANS = standard_spans(0x2E7)
INITIAL = bytes(xsave(0, extended=bytes(2120)))


def test_initial_image_is_unchanged_whatever_the_header_says():
    assert changed(INITIAL, SPANS) == 0
    assert changed(bytes(put(bytearray(INITIAL), 512, b"\xff\xff")), SPANS) == 0


@pytest.mark.parametrize(
    ("offset", "mask"),
    [
        (0, 1),  # FCW
        (3, 1),  # FSW
        (4, 1),  # abridged FTW
        (5, 0),  # reserved
        (7, 1),  # FOP
        (15, 1),  # FIP
        (16, 1),  # FDP
        (24, 2),  # MXCSR
        (28, 0),  # MXCSR_MASK
        (32, 1),  # ST(0)
        (41, 1),
        (42, 0),  # the six bytes after ST(0)
        (153, 1),  # the last byte of ST(7)
        (154, 0),
        (160, 2),  # xmm0
        (415, 2),  # xmm15
        (416, 0),
        (464, 0),  # sw_reserved
        (528, 0),
        (576, 4),
        (831, 4),
        (832, 0),  # no component there
        (1088, 0x20),
        (1663, 0x40),
        (2687, 0x80),
        (2688, 0x200),
        (2691, 0x200),
        (2692, 0),  # PKRU has four bytes
    ],
)
def test_one_changed_byte(offset, mask):
    image = bytearray(INITIAL)
    image[offset] ^= 0x55
    assert changed(bytes(image), SPANS) == mask


def test_components_not_wholly_inside_are_left_out():
    image = bytearray(INITIAL)
    image[576] = image[1088] = 1
    assert changed(bytes(image[:831]), SPANS) == 0
    assert changed(bytes(image[:832]), SPANS) == 4


def test_reference_state_counts_as_unchanged():
    """PKRU is 0x55555554 in Linux's init_fpstate: not a use."""
    image = bytes(put(bytearray(INITIAL), 2688, b"\x54\x55\x55\x55"))
    other = bytes(put(bytearray(INITIAL), 2688, b"\x58\x55\x55\x55"))
    assert changed(image, SPANS) == 0x200
    assert changed(image, SPANS, reference=image) == 0
    assert changed(other, SPANS, reference=image) == 0x200
    assert changed(INITIAL, SPANS, reference=image) == 0


def test_reference_of_another_layout():
    image = bytes(put(bytearray(INITIAL), 2688, b"\x54\x55\x55\x55"))
    reference = bytes(put(xsave(0, BIT63 | 0x2E7), 2432, b"\x54\x55\x55\x55\0\0\0\0"))
    spans = compacted_spans(BIT63 | 0x2E7)
    assert changed(image, SPANS, reference, spans) == 0
    assert changed(image, SPANS, reference) == 0x200


def test_short_reference_makes_nothing_unchanged():
    image = bytes(put(bytearray(INITIAL), 576, b"\1"))
    assert changed(image, SPANS, reference=image[:700]) == 4


def test_fxsave_image():
    assert changed(bytes(legacy(fcw=0x27F)), standard_spans(3)) == 1


def test_span_bytes():
    assert Span(2, 4, 3).bytes_of(b"0123456789") == b"456"
    assert Span(2, 4, 3).bytes_of(b"012345") is None


# --- what a register left


def left(image, number, offset, size):
    return residue(bytes(image), Span(number, offset, size))


def test_an_initial_image_has_no_residue():
    image = xsave(0, extended=bytes(2696 - 576))
    for span in standard_spans(0x2FF):
        assert residue(bytes(image), span) == ()
    assert residue(bytes(2696), Span(0, 0, 160)) == ()  # nor has cleared memory


@pytest.mark.parametrize(
    ("number", "offset", "size", "places"),
    [
        (0, 0, 160, [0, 1, 2, 3, 4, 6, 7, 8, 15, 16, 23, 32, 41, 48, 57, 144, 153]),
        (1, 160, 256, [160, 161, 415]),
        (2, 576, 256, [576, 831]),
        (4, 1024, 64, [1024, 1039]),  # BNDCFGU and BNDSTATUS
        (9, 2688, 8, [2688, 2691]),  # PKRU has four bytes
    ],
)
def test_residue_is_what_is_state(number, offset, size, places):
    """SDM volume 1, table 10-2 and 13.5: one byte at a time, and none beside them."""
    for place in range(2696):
        image = xsave(0, extended=bytes(2696 - 576))
        image[place] = 0x5A
        found = left(image, number, offset, size)
        assert found in ((), (place,))
        if place in places:
            assert found == (place,)
    edges = {0: [5, 24, 27, 28, 42, 47, 154, 159, 160], 1: [24, 27, 159, 416], 2: [575, 832],
             4: [1040, 1087], 9: [2692, 2695]}[number]  # fmt: skip
    for place in edges:
        image = xsave(0, extended=bytes(2696 - 576))
        image[place] = 0x5A
        assert left(image, number, offset, size) == ()


def test_residue_of_fcw():
    """0x037f is initial, zeros are cleared memory: each byte may be either."""
    for value, places in ((0x037F, ()), (0, ()), (0x0300, ()), (0x007F, ()), (0x037E, (0,)),
                          (0x7F03, (0, 1)), (0x027F, (1,))):  # fmt: skip
        assert left(xsave(0, fcw=value), 0, 0, 160) == places


def test_residue_of_every_byte():
    image = bytes([7]) * 832
    assert len(left(image, 0, 0, 160)) == 23 + 80
    assert left(image, 1, 160, 256) == tuple(range(160, 416))
    assert left(image, 2, 576, 256) == tuple(range(576, 832))
    assert left(image, 2, 577, 256) == ()  # not wholly inside
    assert left(image, 2, 576, 257) == ()
