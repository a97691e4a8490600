# SPDX-License-Identifier: GPL-2.0-or-later
"""What the torture reads in GDB's output."""

from __future__ import annotations

import pytest

from tests.torture import checks

HIT = (
    "27     28 ymmall                36   1 copy_fpstate_to_sigframe   x87|SSE  memory get_sigframe"
)


@pytest.mark.parametrize("before", ["     ", "(gdb)     ", "(gdb) (gdb)     "])
def test_the_last_hit_that_was_shown(before):
    """GDB's prompt is before a line that came after a command was read from a pipe."""
    text = f"     1     28 ymmall   36   1 copy_fpstate_to_sigframe   -\n{before}{HIT}\n"
    assert checks.shown(text) == 27


def test_other_numbers_are_no_hits():
    assert checks.shown("1262\tin kernel/debug/debug_core.c\nfpu-trace: off; 27 hits so far\n") == 0
