# SPDX-License-Identifier: GPL-2.0-or-later
"""Shorter cells, measured by wcwidth."""

from __future__ import annotations

import pytest
from wcwidth import wcswidth

from gdbfpu.text.short import cut, few


@pytest.mark.parametrize("text", ["", "a", "a" * 40, "漢字" * 9, "a漢" * 9, "e\u0301" * 20])
@pytest.mark.parametrize("columns", range(1, 50))
def test_a_cut_fits_and_shows(text, columns):
    got = cut(text, columns)
    assert wcswidth(got) <= columns
    whole = wcswidth(text) <= columns
    assert got == text if whole else got.endswith("~") and text.startswith(got[:-1])


def test_a_cut_uses_the_room_there_is():
    assert cut("abcdef", 4) == "abc~"
    assert cut("漢字漢字", 5) == "漢字~"
    assert cut("漢字漢字", 4) == "漢~"


def test_few():
    assert few("x87|SSE|AVX", 11) == "x87|SSE|AVX"
    assert few("x87|SSE|AVX|PKRU", 11) == "x87|SSE +2"
    assert few("x87|SSE|AVX|PKRU", 1) == "x87 +3"
    assert few("-", 1) == "-"
