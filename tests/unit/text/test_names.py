# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of tasks, as they are and as globs."""

from __future__ import annotations

import pytest

from gdbfpu.text.names import named


@pytest.mark.parametrize(
    ("comm", "wanted", "is_named"),
    [
        ("[gpu] Update", "[gpu] Update", True),
        ("g Update", "[gpu] Update", True),
        ("gpu Update", "[gpu] Update", False),
        ("a*b", "a*b", True),
        ("axb", "a*b", True),
        ("Xorg", "xorg", False),
    ],
)
def test_named(comm, wanted, is_named):
    assert named(comm, wanted) is is_named
