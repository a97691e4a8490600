# SPDX-License-Identifier: GPL-2.0-or-later
"""Which bytes share a read."""

from __future__ import annotations

import pytest

from gdbfpu.ranges import joined


@pytest.mark.parametrize(
    ("ranges", "reads"),
    [
        ([], []),
        ([(5, 9)], [(5, 9)]),
        ([(8, 9), (0, 4)], [(0, 9)]),  # 4 apart
        ([(0, 4), (9, 10)], [(0, 4), (9, 10)]),  # 5 apart
        ([(0, 9), (2, 4), (13, 14)], [(0, 14)]),  # one within another
        ([(0, 10), (10, 20)], [(0, 20)]),
        ([(0, 10), (10, 21)], [(0, 10), (10, 21)]),  # 21 bytes are too many
        ([(0, 30), (4, 8), (31, 32)], [(0, 30), (31, 32)]),  # long by itself
    ],
)
def test_joined(ranges, reads):
    assert list(joined(ranges, gap=4, most=20)) == reads


def test_without_a_limit():
    assert list(joined([(i, i + 1) for i in range(0, 10000, 2)], gap=1)) == [(0, 9999)]
