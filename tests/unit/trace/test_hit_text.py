# SPDX-License-Identifier: GPL-2.0-or-later
"""A hit's lines, on terminals of all widths."""

from __future__ import annotations

import pytest

from gdbfpu.trace.event_file import Hit
from gdbfpu.trace.hit_text import hit_heading, hit_lines

HIT = Hit(
    seq=123456, time_ns=1, function="copy_fpstate_to_sigframe", thread=77, pid=4194303, tgid=5,
    comm="fifteen_letters", cpu=127, task="0x1", fpu="0x2", xfeatures="0x21f", xcomp_bv="0x0",
    components=("x87", "SSE", "AVX", "BNDREGS", "BNDCSR", "PKRU"), live=False,
    backtrace=("get_sigframe",), caller_pid=4194303, caller_comm="fifteen_letters",
)  # fmt: skip


def changed(**fields):
    return Hit(**{**vars(HIT), **fields})


@pytest.mark.parametrize("width", range(80, 240, 7))
def test_nothing_is_wider_than_the_terminal(width):
    many = changed(backtrace=("a_function_of_the_kernel",) * 12, caller_pid=1, comm="\\xff" * 15)
    for hit in (HIT, many):
        for line in (*hit_heading(width).splitlines(), *hit_lines(hit, width)):
            assert len(line) <= width


def test_eighty_columns():
    (line,) = hit_lines(HIT, 80)
    assert line == (
        "123456 fifteen_letters 4194303 127 copy_fpstate_to_sigframe x87|SSE +4   memory"
    )
    first, note = hit_heading(80).split("\n")
    assert first.index("components") == line.index("x87") and first.index("where") == 73
    assert note == "left out, to fit 80 columns: thread, caller (`set width 0` shows all)"


def test_callers_that_were_asked_for_are_below():
    _, callers = hit_lines(changed(backtrace=("a", "b"), caller_pid=9, caller_comm="gdb"), 80)
    assert callers == "       a < b (by gdb, pid 9)"
    assert hit_lines(changed(caller_pid=9, caller_comm="gdb"), 80)[1:] == (
        "       (by gdb, pid 9)",
    )


def test_any_width():
    many = changed(backtrace=("a_function_of_the_kernel",) * 12)
    (line,) = hit_lines(many, 0)
    assert "x87|SSE|AVX|BNDREGS|BNDCSR|PKRU" in line and line.count("a_function") == 12
    assert "left out" not in hit_heading(0)
