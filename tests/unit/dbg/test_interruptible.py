# SPDX-License-Identifier: GPL-2.0-or-later
"""A ^C at each place where Python takes one: no step is left out, none changes anything twice."""

from __future__ import annotations

import gc
import inspect
import json
import signal
import sys

import pytest
from fake_kernel import PF_KTHREAD, World, layouts_44

from gdbfpu.dbg.interruptible import interruptible, postponed
from gdbfpu.fpu import model as fpu
from gdbfpu.fpu.looks import Looks
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.probes.catalogue import CATALOGUE
from gdbfpu.trace.event_file import EventWriter
from gdbfpu.trace.totals import Totals
from gdbfpu.trace.tracer import Options, Tracer

PROBE = next(p for p in CATALOGUE if p.function == "copy_fpstate_to_sigframe")


class Interrupt:
    """Raises KeyboardInterrupt at the `moment`th place of those where CPython 3.11 may.

    Those are the beginning of a function, and the return of one that is written in C.
    """

    def __init__(self, moment):
        self.moment, self.seen, self.raised = moment, 0, False

    def __call__(self, frame, event, _):
        # To `sys`, a generator is called when it is closed, too, which is no such place.
        closes = event == "call" and frame.f_code.co_flags & inspect.CO_GENERATOR
        if event not in ("call", "c_return") or closes or frame.f_code is Interrupt.run.__code__:
            return
        self.seen += 1
        if self.seen == self.moment:
            self.raised = True
            raise KeyboardInterrupt

    def run(self, stop):
        """Run `stop` without garbage collection, whose callbacks are no part of it."""
        gc.disable()
        sys.setprofile(self)
        try:
            return stop()
        finally:
            sys.setprofile(None)
            gc.enable()


class Steps:
    """Steps that note what they do: each reads, changes, and returns."""

    def __init__(self, *stays):
        self.stays, self.failures, self.done = stays, [], []

    def step(self, number):
        def step():
            name = str(number)
            self.done += (name,)  # nothing is called from here on
            return self.stays[number]

        return step

    def stop(self):
        return interruptible([self.step(n) for n in range(len(self.stays))], self.failures.append)


def test_all_steps_in_order():
    steps = Steps(False, False, False)
    stop = steps.stop()
    assert [stop(), stop()] == [False, False]
    assert steps.done == ["0", "1", "2"] * 2


@pytest.mark.parametrize("which", range(3))
def test_one_step_is_enough_to_stay(which):
    stop = Steps(*(n == which for n in range(3))).stop()
    assert [stop(), stop()] == [True, True]


def test_a_step_that_fails_is_left_out():
    def fails():
        raise SystemExit("in\ntwo lines")

    steps = Steps(False)
    stop = interruptible([fails, steps.step(0), fails], steps.failures.append)
    assert [stop(), stop()] == [False, False]
    assert steps.done == ["0", "0"]
    assert steps.failures == ["SystemExit: in"] * 4


def test_a_ctrl_c_anywhere_leaves_no_step_undone_and_none_twice():
    moment, interrupted = 0, 0
    while True:
        moment += 1
        steps = Steps(False, False, False)
        stop = steps.stop()
        interrupt = Interrupt(moment)
        stayed = interrupt.run(stop)
        assert steps.done == ["0", "1", "2"], moment
        assert stayed is interrupt.raised
        assert stop() is False  # the next hit goes on as if nothing had been
        assert steps.done == ["0", "1", "2"] * 2
        if not interrupt.raised:
            break
        interrupted += 1
    assert interrupted >= 6


def test_a_ctrl_c_before_the_hit_is_kept():
    """Python raises it where the generator waits."""
    steps = Steps(False, False)
    stops = interruptible([steps.step(0), steps.step(1)], steps.failures.append).__self__
    assert stops.throw(KeyboardInterrupt) is True
    assert steps.done == ["0", "1"]
    assert next(stops) is False


class Traced:
    """Hits of one task, recorded by steps as a breakpoint's are."""

    def __init__(self, path):
        world = World()
        world.add(0, flags=PF_KTHREAD)
        world.run(world.add(5, b"task"))
        kernel = Kernel(world.target, layouts_44())
        self.path, self.totals, self.failures = path, Totals(), []
        model, writer = fpu.probe(kernel), EventWriter(path, {})
        self.tracer, self.kernel = Tracer(Looks(model), Options(), self.totals, writer), kernel
        self.caught = None
        steps = (self.catch, self.log, self.add)
        self.stop = interruptible(steps, self.failures.append)

    def catch(self):
        self.caught = self.tracer.hit(PROBE, *self.kernel.current())
        return False

    def log(self):
        self.tracer.write(self.caught)
        return False

    def add(self):
        self.tracer.add(self.caught)
        return False


@pytest.mark.parametrize("before", [0, 1])
def test_a_ctrl_c_anywhere_loses_no_hit_and_makes_none_twice(tmp_path, before):
    """`before` hits are recorded when it comes: the first one has rows and paths to make."""
    moment, at_work = 0, True
    while at_work:
        moment += 1
        traced = Traced(tmp_path / str(moment))
        interrupt = Interrupt(moment)
        for _ in range(before):
            traced.stop()
        stayed = interrupt.run(traced.stop)
        assert stayed is interrupt.raised
        for _ in range(2 - before):
            traced.stop()
        lines = [json.loads(line) for line in traced.path.read_text().splitlines()]
        (row,) = traced.totals.tasks.values()
        assert traced.failures == []
        assert [line["seq"] for line in lines[1:]] == [1, 2, 3], moment
        assert (traced.tracer.seq, traced.totals.hits, row.count) == (3, 3, 3), moment
        assert row.hits == {PROBE.function: 3}
        traced.tracer.close()
        at_work = interrupt.raised
    assert moment > 50


def test_a_ctrl_c_waits_for_the_end_of_what_must_be_whole():
    done = []
    with pytest.raises(KeyboardInterrupt), postponed():
        signal.raise_signal(signal.SIGINT)
        done.append("half")
        done.append("whole")
    assert done == ["half", "whole"]
    with pytest.raises(KeyboardInterrupt):  # it does not wait any longer
        signal.raise_signal(signal.SIGINT)
