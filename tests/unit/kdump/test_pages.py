# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kdump file's bitmaps say of a page: there, left out, or no memory at all."""

from __future__ import annotations

import struct

import pytest
from vmcore_files import flattened, kdump, write

from gdbfpu.kdump.pages import Pages

PAGE = 4096
HAD, HAS = {0, 1, 2, 9, 17}, {0, 2, 17}
WHOLE = kdump(HAD, HAS)


def out_of(path):
    return {page for page in range(64) if Pages(path).left_out(page * PAGE, 1)}


def test_left_out_is_what_one_bitmap_has_and_the_other_has_not(tmp_path):
    assert out_of(write(tmp_path, WHOLE)) == {1, 9}


def test_a_read_that_touches_a_page_that_was_left_out(tmp_path):
    pages = Pages(write(tmp_path, WHOLE))
    assert pages.left_out(PAGE - 4, 8)
    assert not pages.left_out(PAGE - 4, 4)
    assert pages.left_out(0, 3 * PAGE)
    assert not pages.left_out(1 << 50, PAGE)


@pytest.mark.parametrize(
    "pieces",
    [
        ((0, len(WHOLE)),),
        ((4096, 8192 + 100), (8192 + 100, len(WHOLE)), (0, 4096)),
        ((0, 464), (464, len(WHOLE))),
    ],
)
def test_flattened(tmp_path, pieces):
    assert out_of(write(tmp_path, flattened(WHOLE, *pieces))) == {1, 9}


def test_a_later_record_replaces_an_earlier_one(tmp_path):
    """makedumpfile and QEMU write the header first and again at the end."""
    data = flattened(bytes(len(WHOLE)), (0, len(WHOLE)))[:-16]
    for start, end in ((0, 4096), (8192, len(WHOLE))):
        data += struct.pack(">qq", start, end - start) + WHOLE[start:end]
    assert out_of(write(tmp_path, data + struct.pack(">qq", -1, -1))) == {1, 9}


@pytest.mark.parametrize(
    ("place", "form", "value"),
    [
        (0, "<Q", 0),
        (428, "<i", 0),
        (428, "<i", -4096),
        (428, "<i", 0x7FFFFFFF),
        (432, "<i", -1),
        (432, "<i", 0x7FFFFFFF),
        (436, "<I", 0),
        (440, "<I", 0xFFFFFFFF),
    ],
)
def test_a_header_that_lies_tells_nothing(tmp_path, place, form, value):
    data = bytearray(WHOLE)
    struct.pack_into(form, data, place, value)
    assert out_of(write(tmp_path, data)) == set()


def test_files_that_end(tmp_path):
    for keep in (0, 8, 430, 4096, 8192, 3 * 4096):
        assert out_of(write(tmp_path, WHOLE[:keep])) == set()
    whole = flattened(WHOLE, (0, len(WHOLE)))
    for keep in (16, 4096, 4100, 4112, 6000):
        assert out_of(write(tmp_path, whole[:keep])) == set()
    assert not Pages(tmp_path / "none").left_out(0, 1)
