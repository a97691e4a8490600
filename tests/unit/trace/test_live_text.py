# SPDX-License-Identifier: GPL-2.0-or-later
"""The live table, on screens of all sizes."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest
from wcwidth import wcswidth

from gdbfpu.text.screen import PLAIN, Screen
from gdbfpu.trace.event_file import Hit
from gdbfpu.trace.live_text import Missed, live_lines
from gdbfpu.trace.rates import Busy, Sample

NOON = 1_700_000_000 * 10**9


HIT = Hit(
    seq=1, time_ns=NOON, function="copy_fpstate_to_sigframe", thread=36, pid=44, tgid=44,
    comm="Xorg", cpu=1, task="0x1", fpu="0x2", xfeatures="0x7", xcomp_bv="0x0", components=(),
    live=True, backtrace=("get_sigframe", "x"), caller_pid=44, caller_comm="",
)  # fmt: skip


def last(**fields):
    return replace(HIT, **fields)


XORG = Busy(123.456, 48, 45, 7, last())
LONG = Busy(
    9999.94, 123456789, 0, 0x2FF,
    last(comm="漢字漢字漢字漢字", pid=4194304, cpu=255, function="x" * 40, backtrace=("y" * 60,)),
)  # fmt: skip
UNKNOWN = Busy(None, 1, 0, 0, last(xfeatures=None, backtrace=()))


def sample(*rows, pairs=None, rate=200.0):
    return Sample(12345, rate, 2.0, 3, len(rows) if pairs is None else pairs, rows, NOON)


def table(*rows, width=80, height=18, **more):
    return live_lines(sample(*rows, **more), Missed(), Screen(width), height)


def test_eighty_columns():
    total, heading, row = table(XORG)
    clock = time.strftime("%H:%M:%S", time.localtime(1_700_000_000))
    assert total == f"200.0 hits/s over 2.0 s; until {clock}; 12345 hits; 3 tasks"
    assert heading == (" hits/s task            pid function            components  live caller")
    assert row == "  123.5 Xorg             44 copy_fpstate_to_si~ x87|SSE|AVX  93% get_sigframe"


def test_a_wide_screen_shows_all():
    _, heading, row = table(XORG, width=200)
    assert heading.split() == [
        "hits/s", "hits", "task", "pid", "CPU", "function", "components", "live", "caller",
    ]  # fmt: skip
    assert row.split() == [
        "123.5", "48", "Xorg", "44", "1", "copy_fpstate_to_sigframe", "x87|SSE|AVX", "93%",
        "get_sigframe",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [*range(1, 40), *range(40, 200, 7)])
@pytest.mark.parametrize("height", [0, 1, 2, 3, 4, 18])
def test_it_fits_any_screen(width, height):
    rows = [XORG, LONG, UNKNOWN, *[XORG] * 20]
    lines = live_lines(sample(*rows, pairs=300), Missed(10**9, 10**9), Screen(width), height)
    assert len(lines) == height
    assert all(wcswidth(line) <= width for line in lines)


@pytest.mark.parametrize("width", range(16, 200))
def test_columns_stand_below_their_headings(width):
    """Only names may be cut: a heading and the cells of numbers are whole or not there."""
    _, heading, *rows = table(XORG, LONG, width=width)
    assert set(heading.split()) <= {
        "hits/s", "hits", "task", "pid", "CPU", "function", "components", "live", "caller",
    }  # fmt: skip
    at = heading.find(" pid") + 4
    if at > 3:
        assert (rows[0][:at].endswith(" 44"), "4194304" in rows[1]) == (True, True)


def test_a_narrow_screen_leaves_out_the_least_important():
    headings = [set(table(XORG, width=width)[1].split()) for width in range(80, 6, -1)]
    gone = [before - after for before, after in zip(headings, headings[1:]) if before - after]
    assert [min(each) for each in gone] == [
        "caller", "components", "pid", "live", "function", "task",
    ]  # fmt: skip
    assert headings[-1] == {"hits/s"}


def test_what_does_not_fit_is_told():
    lines = table(*[XORG] * 9, pairs=12, height=6, rate=1000.0)
    assert len(lines) == 6
    assert lines[2:5] == (lines[2],) * 3
    assert lines[5] == f"{1000 - 3 * 123.456:7.1f} 9 more rows"
    assert table(*[XORG] * 4, height=6)[5] == lines[2]  # all fit


def test_what_is_not_known():
    total, _, row = live_lines(sample(UNKNOWN, rate=None), Missed(), PLAIN, 9)
    assert total.startswith("- hits/s over ")
    assert row.split() == ["-", "1", "Xorg", "44", "1", "copy_fpstate_to_sigframe", "?", "0%", "-"]
    assert live_lines(Sample(0, None, 0.0, 0, 0, (), 0), Missed(), PLAIN, 9)[0] == (
        "- hits/s over 0.0 s; 0 hits; 0 tasks"
    )


def test_what_was_missed_is_told():
    total = live_lines(sample(), Missed(3, 4), PLAIN, 9)[0]
    assert total.endswith("; 4 not recorded; 3 filtered out")


def test_a_name_cannot_command_the_terminal():
    evil = Busy(1.0, 1, 0, 0, last(backtrace=("\x1b[2J\x07evil\n",)))
    text = "\n".join(table(evil, width=0))
    assert "\x1b" not in text and "\x07" not in text
    assert r"\x1b[2J\x07evil\n" in text


def test_colour():
    plain, coloured = (
        live_lines(sample(XORG), Missed(), Screen(80, on), 9) for on in (False, True)
    )
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in coloured] == list(plain)
    assert ["\x1b" in line for line in coloured] == [True, True, False]
