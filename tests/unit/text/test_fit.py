# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables and sentences on a screen that is too narrow for them."""

from __future__ import annotations

import re
import time

import pytest

from gdbfpu.text.fit import Fit
from gdbfpu.text.screen import PLAIN, Screen
from gdbfpu.text.table import table

ROWS = (("1", "x87calc", "12:34:56.789", "one two three four five six seven eight nine ten"),)
NAMES = ("hits", "task", "when", "what_it_was_that_it_did")
FIT = Fit(drop=("when", "task"), wrap=NAMES[3:], short={"when": lambda text: text[:8]})


def width(text):
    return max(len(line) for line in re.sub(r"\x1b\[[0-9;]*m", "", text).split("\n"))


@pytest.mark.parametrize("columns", [0, 90, 200])
def test_what_fits_stays(columns):
    assert table(ROWS, NAMES, (), Screen(columns), FIT) == table(ROWS, NAMES)


def test_shorter_first_then_fewer_columns_then_lines():
    whole = table(ROWS, NAMES)
    shorter = table(ROWS, NAMES, (), Screen(width(whole) - 1), FIT)
    assert "12:34:56 " in shorter and "12:34:56.789" not in shorter and "left out" not in shorter
    fewer = table(ROWS, NAMES, (), Screen(66), FIT)
    assert fewer.endswith("\nleft out, to fit 66 columns: when (`set width 0` shows all)")
    assert "x87calc" in fewer and "12:34" not in fewer
    lines = table(ROWS, NAMES, (), Screen(40), FIT)
    assert lines.count("\n") > 6 and "x87calc" not in lines
    for text, columns in ((shorter, width(whole) - 1), (fewer, 66), (lines, 40)):
        assert width(text) <= columns
        assert all(word in text for word in ROWS[0][3].split())


def test_many_long_cells_take_no_time():
    """512 bytes in each of 400 rows, as a state with every bit set has them."""
    rows = [(str(n), "12345678 " * 120) for n in range(400)]
    began = time.process_time()
    text = table(rows, ("name", "value"), (), Screen(80), Fit(wrap=("value",)))
    assert time.process_time() - began < 2.0
    assert 70 < width(text) <= 80
    assert text.count("12345678") == 400 * 120


def test_a_heading_is_broken_behind_underscores():
    text = table([("1",)], ("copy_fpstate_to_sigframe",), (), Screen(12), FIT)
    assert [line.strip() for line in text.split("\n")[:4]] == [
        "copy_",
        "fpstate_",
        "to_",
        "sigframe",
    ]


def test_colour_takes_no_room():
    plain = table(ROWS, NAMES, (), Screen(66), FIT)
    coloured = table(ROWS, NAMES, (), Screen(66, colour=True), FIT)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain != coloured


def test_sentences():
    text = "  one two three four\nfive"
    assert PLAIN.wrapped(text) == text
    assert Screen(12).wrapped(text, "  ") == "  one two\n    three\n    four\nfive"
    assert Screen(5).wrapped("\x1b[31mred\x1b[39;49;00m") == "\x1b[31mred\x1b[39;49;00m"
