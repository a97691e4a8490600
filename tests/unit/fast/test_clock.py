# SPDX-License-Identifier: GPL-2.0-or-later
"""Times from the time-stamp counter, held to a machine that keeps both clocks itself."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdbfpu.fast.clock import Clock

S, MS = 1_000_000_000, 1_000_000
NOW = 1_900_000_000 * S


class Machine:
    """A machine that runs and stops; its counter may stand still while it is stopped."""

    def __init__(self, khz, *, stands_still):
        self.ns, self.stopped_ns, self.khz, self.stands_still = NOW, 0, khz, stands_still
        self.clock = Clock(khz, self.tsc, self.ns)

    @property
    def tsc(self):
        run = self.ns - NOW - (self.stopped_ns if self.stands_still else 0)
        return 5_000_000_000 + run * self.khz // 1_000_000

    def stop(self, ns):
        self.clock.stopped(self.ns)
        self.ns += ns
        self.stopped_ns += ns
        self.clock.resumed(self.ns)

    def run(self, *steps):
        """Run on for each of `steps` in ns; return the counter and the time after each."""
        seen = []
        for step in steps:
            self.ns += step
            seen.append((self.tsc, self.ns))
        return seen

    def differences(self, seen):
        self.clock.stopped(self.ns)
        newest = seen[-1][0]
        return [abs(self.clock.ns(tsc, newest) - ns) for tsc, ns in seen]


KINDS = pytest.mark.parametrize("stands_still", [False, True])


@KINDS
@pytest.mark.parametrize("khz", [1, 999_999, 2_394_230, 5_000_000])
def test_a_run_without_a_pause(khz, stands_still):
    machine = Machine(khz, stands_still=stands_still)
    seen = machine.run(0, 10 * MS, 3 * S, 7)
    assert max(machine.differences(seen)) <= -(-1_000_000 // khz)


@KINDS
@pytest.mark.parametrize("pause", [MS, 10 * S, 86_400 * S])
@pytest.mark.parametrize("run", [S // 10, 30 * S, 3600 * S])
def test_a_run_after_a_pause(stands_still, pause, run):
    """Whether the pause is longer than the run or shorter."""
    machine = Machine(2_394_230, stands_still=stands_still)
    machine.run(5 * S)
    machine.stop(pause)
    seen = machine.run(*[run // 100] * 100)
    assert max(machine.differences(seen)) <= 1


@KINDS
def test_many_runs(stands_still):
    """The counter's rate is known to a ten-thousandth only, so clocks part by that much."""
    chance = random.Random(1)
    machine = Machine(2_394_230, stands_still=stands_still)
    machine.clock = Clock(2_394_470, machine.tsc, machine.ns)
    for _ in range(200):
        seen = machine.run(*(chance.randrange(MS, S) for _ in range(5)))
        assert max(machine.differences(seen)) <= (machine.ns - NOW) // 9_000
        machine.stop(chance.randrange(10 * S))


@KINDS
def test_records_of_a_run_before_are_moved_to_this_one(stands_still):
    """A row of the table keeps when it was first hit."""
    machine = Machine(1_000_000, stands_still=stands_still)
    ((first, _),) = machine.run(S)
    machine.stop(60 * S)
    began = machine.ns
    seen = machine.run(2 * S)
    machine.differences(seen)
    assert machine.clock.ns(first, seen[-1][0]) == began


def test_two_looks_at_one_run():
    """At a full ring, the kernel stops and goes on without the debugger being told."""
    machine = Machine(1_000_000, stands_still=False)
    machine.run(S)
    machine.stop(0)
    for _ in range(2):
        assert max(machine.differences(machine.run(S, S))) == 0


def test_a_clock_that_is_set_back_counts_no_negative_pause():
    machine = Machine(1_000_000, stands_still=True)
    machine.clock.stopped(NOW + 10 * S)
    machine.clock.resumed(NOW)
    machine.clock.stopped(NOW - S)
    assert machine.clock.ns(machine.tsc, machine.tsc) == NOW


@given(
    st.integers(0, (1 << 64) - 1),
    st.integers(0, (1 << 64) - 1),
    st.integers(1, (1 << 32) - 1),
    st.integers(0, 100 * S),
)
def test_rubbish_stays_within_the_run(tsc, newest, khz, pause):
    clock = Clock(khz, 1 << 40, NOW)
    clock.stopped(NOW + S)
    clock.resumed(NOW + S + pause)
    clock.stopped(NOW + 2 * S + pause)
    assert NOW + S + pause <= clock.ns(tsc, newest) <= NOW + 2 * S + pause
