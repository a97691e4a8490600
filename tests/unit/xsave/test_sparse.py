# SPDX-License-Identifier: GPL-2.0-or-later
"""Which bytes of an image are read, and in how many reads."""

from __future__ import annotations

import pytest

from gdbfpu.xsave.area import Span
from gdbfpu.xsave.sparse import read_spans

AT = 0xFFFF880000001000
IMAGE = bytes(1 + i % 255 for i in range(4096))


def read(size, *spans):
    """The image that is made of `spans`, and the (offset, length) of each read."""
    reads = []

    def take(address, length):
        reads.append((address - AT, length))
        return IMAGE[address - AT : address - AT + length]

    return read_spans(take, AT, size, [Span(0, *span) for span in spans]), reads


def kept(size, *ranges):
    image = bytearray(size)
    for start, end in ranges:
        image[start:end] = IMAGE[start:end]
    return bytes(image)


@pytest.mark.parametrize(
    ("size", "spans", "reads"),
    [
        (832, [(576, 256)], [(0, 832)]),
        (576, [], [(0, 576)]),
        (512, [], [(0, 512)]),
        (2696, [(576, 256), (2688, 8)], [(0, 832), (2688, 8)]),
        (2696, [(2688, 8), (576, 256)], [(0, 832), (2688, 8)]),
        (1088, [(640, 64)], [(0, 704)]),  # a gap of 64 bytes is read
        (1088, [(641, 64)], [(0, 576), (641, 64)]),  # of 65 it is not
        (1000, [(576, 256), (576, 100)], [(0, 832)]),  # one within another
        (700, [(576, 256)], [(0, 700)]),  # cut off
        (600, [(700, 8)], [(0, 576)]),  # behind the end
        (2000, [(0, 160), (160, 256)], [(0, 576)]),
    ],
)
def test_reads(size, spans, reads):
    image, made = read(size, *spans)
    assert made == reads
    assert image == kept(size, *((start, start + length) for start, length in made))
    assert len(image) == size


def test_each_part_is_read_from_its_own_place():
    image, reads = read(4000, (900, 8), (2000, 16), (3000, 32))
    assert reads == [(0, 576), (900, 8), (2000, 16), (3000, 32)]
    assert image == kept(4000, (0, 576), (900, 908), (2000, 2016), (3000, 3032))


def test_spans_that_follow_one_another_are_one_read():
    image, reads = read(3000, (1088, 64), (1152, 512), (1664, 1024))
    assert reads == [(0, 576), (1088, 1600)]
    assert image == kept(3000, (0, 576), (1088, 2688))
