# SPDX-License-Identifier: GPL-2.0-or-later
"""Random and mutated images never raise anything but gdbfpu's own errors."""

import json
import struct

from fpu_images import put, xsave
from hypothesis import given, settings
from hypothesis import strategies as st

from gdbfpu.errors import GdbFpuError
from gdbfpu.xsave.area import changed, compacted_spans, standard_spans
from gdbfpu.xsave.decode import decode
from gdbfpu.xsave.formats import FORMATS
from gdbfpu.xsave.places import Tables
from gdbfpu.xsave.text import render_table, to_json

BIT63 = 1 << 63
U64 = st.integers(0, 2**64 - 1)
FORMAT = st.sampled_from(("auto", *FORMATS))
TABLE = st.none() | st.lists(st.integers(-1, 2**32 - 1) | st.integers(0, 4096), max_size=64)
TABLES = st.builds(Tables, st.just("kernel"), st.none() | U64, TABLE, TABLE, TABLE)


def attempt(image, format, tables=None):
    """Decode and render; None where gdbfpu refuses."""
    try:
        decoded = decode(image, format=format, tables=tables or Tables())
    except GdbFpuError as error:
        assert "\n" not in str(error)
        return None
    json.dumps(to_json(decoded), allow_nan=False)
    render_table(decoded)
    for register in decoded.registers:
        assert register.raw
    names = [register.name for register in decoded.registers]
    assert len(set(names)) == len(names)
    return decoded


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=1200), FORMAT)
def test_random_bytes(image, format):
    attempt(image, format)


@settings(max_examples=60, deadline=None)
@given(U64, U64, st.binary(max_size=400), st.integers(0, 3000), FORMAT)
def test_random_headers(xfeatures, xcomp_bv, extended, size, format):
    attempt(bytes(xsave(xfeatures, xcomp_bv, extended))[:size], format)


@settings(max_examples=40, deadline=None)
@given(U64, st.booleans(), st.integers(0, 1200), TABLES)
def test_hostile_tables(mask, is_compacted, size, tables):
    image = put(xsave(mask, BIT63 | mask if is_compacted else 0), 576, bytes(size))
    attempt(bytes(image), "compacted" if is_compacted else "standard", tables)


SOUND = [
    bytes(put(xsave(0x2FF), 2695, b"\0")),
    bytes(put(xsave(0x2E7, BIT63 | 0x2E7), 2439, b"\0")),
    bytes(put(put(xsave(7), 464, struct.pack("<IIQI", 0x46505853, 836, 7, 832)), 832, b"EXPF")),
]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(SOUND),
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), max_size=8),
    st.integers(0, 2700),
)
def test_mutated_images(image, mutations, size):
    mutated = bytearray(image)
    for offset, value in mutations:
        mutated[offset] = value
    attempt(bytes(mutated[:size]), "auto")


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(SOUND), st.integers(576, 2700))
def test_cutting_an_image_short_only_removes_registers(image, size):
    """What is left shows the same values, and the cut is a defect wherever state is lost."""
    format = decode(image).format
    whole = {r.name: r.raw for r in decode(image, format=format).registers}
    cut = decode(image[:size], format=format)
    for register in cut.registers:
        assert whole.get(register.name, register.raw) == register.raw


def reference_offset(number, mask, sizes, align):
    """Where component `number` lies: the SDM's rule as a recursion on the one before it."""
    below = [other for other in range(2, number) if mask >> other & 1]
    last = below[-1] if below else None
    start = reference_offset(last, mask, sizes, align) + sizes[last] if below else 576
    return -(-start // 64) * 64 if align[number] else start


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 2**62 - 1),
    st.lists(st.integers(1, 9000), min_size=63, max_size=63),
    st.lists(st.integers(0, 1), min_size=63, max_size=63),
)
def test_compacted_offsets_against_another_formulation(mask, sizes, align):
    spans = [s for s in compacted_spans(BIT63 | mask, sizes, align) if s.number >= 2]
    assert [s.number for s in spans] == [i for i in range(2, 62) if mask >> i & 1]
    for span in spans:
        assert span.offset == reference_offset(span.number, mask, sizes, align)
        assert span.size == sizes[span.number]


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 2**10 - 1),
    st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 9]), min_size=1, unique=True),
)
def test_encode_decode_round_trip(mask, numbers):
    """A byte set in each of some components is found there, in both formats, and nowhere else."""
    numbers = [number for number in numbers if mask >> number & 1]
    for spans in (standard_spans(mask), compacted_spans(BIT63 | mask)):
        image = xsave(mask)
        put(image, max([span.end for span in spans] + [576]) - 1, b"\0")
        for span in spans:
            if span.number in numbers:
                image[span.offset + 3] ^= 0x5A
        assert changed(bytes(image), spans) == sum(1 << number for number in numbers)
