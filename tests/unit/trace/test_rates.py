# SPDX-License-Identifier: GPL-2.0-or-later
"""Hits a second, against hits that come at known moments."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdbfpu.trace import rates as module
from gdbfpu.trace.event_file import Hit
from gdbfpu.trace.rates import WINDOW, Rates

HIT = Hit(
    seq=0, time_ns=0, function="copy_fpstate_to_sigframe", thread=1, pid=44, tgid=44, comm="Xorg",
    cpu=0, task="0x1", fpu="0x2", xfeatures="0x7", xcomp_bv="0x0", components=(), live=False,
    backtrace=("get_sigframe",), caller_pid=44, caller_comm="Xorg",
)  # fmt: skip


def hit(seq, pid=44, **fields):
    return replace(HIT, seq=seq, time_ns=seq, pid=pid, task=hex(pid), **fields)


def test_steady_hits_have_their_rate_whenever_one_looks():
    rates = Rates()
    rates.start(0.0)
    seq = 0
    for tick in range(1, 401):  # two tasks, one 20 and one 10 times a second, for 20 seconds
        for pid in (1, 2) if tick % 2 else (1,):
            seq += 1
            rates.add(hit(seq, pid=pid))
        if tick % 8 == 0:
            sample = rates.sample(tick / 20, 9)
            assert sample.rate == pytest.approx(30)
            assert [one.rate for one in sample.rows] == pytest.approx([20, 10])
            assert sample.seconds <= WINDOW + 8 / 20
    assert (sample.hits, sample.tasks, sample.pairs) == (seq, 2, 2)
    assert [one.hits for one in sample.rows] == [400, 200]


def test_the_window_forgets():
    rates = Rates()
    rates.start(0.0)
    for seq in range(1, 101):
        rates.add(hit(seq))
    for moment in (1.0, 2.0, 3.0):
        rates.sample(moment, 1)
    assert rates.sample(4.0, 1).rate == 0.0
    rates.add(hit(101))
    assert rates.sample(4.5, 1).rate == pytest.approx(1 / 2.5)


def test_hits_rarer_than_the_window():
    rates = Rates()
    rates.start(0.0)
    for seq in range(1, 6):
        rates.add(hit(seq))
        sample = rates.sample(5.0 * seq, 1)
    assert (sample.rate, sample.seconds) == (0.2, 5.0)


def test_nothing_is_measured_before_time_has_passed():
    rates = Rates()
    rates.start(3.0)
    rates.add(hit(1))
    sample = rates.sample(3.0, 5)
    assert (sample.rate, sample.seconds, sample.rows[0].rate) == (None, 0.0, None)
    assert Rates().sample(1.0, 5).rows == ()


def test_the_time_in_which_the_kernel_stands_does_not_count():
    rates = Rates()
    rates.start(0.0)
    rates.add(hit(1))
    rates.sample(1.0, 1)
    rates.start(1000.0)
    rates.add(hit(2))
    sample = rates.sample(1001.0, 1)
    assert (sample.rate, sample.rows[0].rate, sample.rows[0].hits) == (1.0, 1.0, 2)


def test_what_a_row_says_of_its_hits():
    rates = Rates()
    rates.add(hit(1, live=True, xfeatures="0x4"))
    rates.add(hit(2, xfeatures=None, function="fpstate_sanitize_xstate"))
    rates.add(hit(3, xfeatures="0x4"))
    rates.add(hit(4, xfeatures="0x1", backtrace=("another",)))
    sample = rates.sample(1.0, 9)
    first, second = sample.rows
    assert (first.hits, first.live, first.mask, first.last.backtrace) == (3, 1, 5, ("another",))
    assert (second.hits, second.mask, second.last.xfeatures) == (1, 0, None)
    assert (sample.time_ns, sample.tasks, sample.pairs) == (4, 1, 2)


def test_the_same_hit_again_adds_nothing():
    rates = Rates()
    for one in (hit(1), hit(1), hit(2), hit(2)):
        rates.add(one)
    assert (rates.sample(1.0, 1).hits, rates.sample(1.0, 1).rows[0].hits) == (2, 2)


@pytest.mark.parametrize("moment", range(1, 12))
def test_a_ctrl_c_never_adds_half_a_hit(moment):
    """The hit that a ^C interrupts is added again, and then counts once."""
    rates, seen = Rates(), 0

    def interrupt(_frame, event, _):
        nonlocal seen
        seen += event in ("call", "c_return")
        if seen == moment:
            raise KeyboardInterrupt

    rates.add(hit(1))
    for one in (hit(2, xfeatures="0x8", live=True), hit(3, pid=5)):
        seen = 0
        sys.setprofile(interrupt)
        try:
            rates.add(one)
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(None)
        rates.add(one)
    rows = rates.sample(1.0, 9).rows
    assert [(one.hits, one.live, one.mask) for one in rows] == [(2, 1, 15), (1, 0, 7)]


@given(st.lists(st.tuples(st.integers(1, 9), st.floats(0.0, 3.0)), max_size=60), st.integers(0, 9))
def test_rows_are_the_busiest_and_add_up(steps, most):
    rates, now = Rates(), 0.0
    rates.start(now)
    for seq, (pid, pause) in enumerate(steps, 1):
        now += pause
        rates.add(hit(seq, pid=pid))
        few, every = rates.sample(now, most), rates.sample(now, 99)
        assert few.rows == every.rows[:most]
        assert sum(one.hits for one in every.rows) == every.hits == seq
        if every.rate is not None:
            assert sum(one.rate for one in every.rows) == pytest.approx(every.rate)
            assert [one.rate for one in every.rows] == sorted(
                (one.rate for one in every.rows), reverse=True
            )


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_ROWS", 100)
    rates = Rates()
    rates.start(0.0)
    for seq in range(1, 1001):
        rates.add(hit(seq, pid=seq))
        if seq % 50 == 0:
            rates.sample(seq / 100, 1)
    rates.add(hit(1001, pid=1))  # forgotten, and back
    sample = rates.sample(20.0, 1000)
    assert sample.hits == 1001 and len(sample.rows) <= 100
    assert {one.last.pid for one in sample.rows} >= set(range(930, 1001)) | {1}
    assert all(one.rate >= 0 for one in sample.rows)
