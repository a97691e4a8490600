# SPDX-License-Identifier: GPL-2.0-or-later
"""Recorded passes become the hits and totals of a stopping trace on the same machine."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from event_files import HEADER
from fake_kernel import FPU, GOLDEN, PF_KTHREAD, World, golden_world, layouts_44

from gdbfpu.errors import CorruptState
from gdbfpu.fast.clock import Clock
from gdbfpu.fast.layout import Flag
from gdbfpu.fast.records import Counted, Pass, Who
from gdbfpu.fpu import model as fpu
from gdbfpu.fpu.evidence import Answer
from gdbfpu.fpu.looks import Looks
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.probes.catalogue import Probe
from gdbfpu.probes.jobs import Job
from gdbfpu.trace.event_file import header
from gdbfpu.trace.passes import Passes
from gdbfpu.trace.totals import Totals
from gdbfpu.trace.tracer import Options, Tracer

SIGFRAME = Probe("copy_fpstate_to_sigframe", Job.SAVE_FRAME, "current", 3, "4.2")
SANITIZE = Probe("fpstate_sanitize_xstate", Job.SANITIZE, "fpu", 1, "4.2")
PROBES = (SIGFRAME, SANITIZE)
HITS = GOLDEN["hits"]
NOW, S = 1_900_000_000_000_000_000, 1_000_000_000
TASK = 0xFFFF888003A41000
CALLER = 0xFFFFFFFF8101D3CB


class Setup:
    """Passes over a world's tracer. A counter of 0 is NOW, at a GHz; the run lasts an hour."""

    def __init__(self, world, name_of="around {:#x}".format, **options):
        self.world = world
        self.model = fpu.probe(Kernel(world.target, layouts_44()))
        self.totals = Totals()
        self.tracer = Tracer(Looks(self.model), Options(**options), self.totals, None)
        clock = Clock(1_000_000, 0, NOW)
        clock.stopped(NOW + 3600 * S)
        self.passes = Passes(self.tracer, PROBES, clock, name_of)

    def add(self, one, newest=0):
        caught = self.passes.caught(one, newest or one.tsc)
        self.tracer.add(caught)
        return caught.record

    def count(self, *rows, newest=0):
        for number, row in rows:
            self.passes.count(number, row, newest or row.last)

    @property
    def row(self):
        (row,) = self.totals.tasks.values()
        return row


@pytest.fixture
def setup():
    world = World()
    world.run(world.add(0, b"swapper/0", flags=PF_KTHREAD))
    return Setup(world)


def who(pid=43, comm="Xorg", task=TASK):
    return Who(task, pid, 42, comm)


def a_pass(flags=Flag.HEADER, number=0, cpu=1, mask=7, tsc=5 * S, running=None, **named):
    subject = who(**named)
    return Pass(tsc, subject, running or subject, number, cpu, CALLER, flags, mask, 1 << 63)


def a_row(
    hits, live=0, *, first=S, last=2 * S, number=0, cpu=1, flags=Flag.HEADER, mask=7, **named
):
    return Counted(who(**named), number, hits, live, mask, cpu, CALLER, flags, first, last)


# --- single passes


@pytest.mark.parametrize("stub", ["kgdb", "qemu"])
@pytest.mark.parametrize("hit", HITS, ids=lambda hit: f"{hit['comm']}-{hit['function'][:4]}")
def test_a_recorded_hit_is_as_a_stopping_trace_has_it(hit, stub):
    world, address = golden_world(hit, stub)
    world.run(address, 1)
    world.target.registers["rdi"] = address + FPU
    world.target.frames = ("get_sigframe",)
    number = int(hit["function"] == SANITIZE.function)
    stopping, fast = Setup(world), Setup(world, {CALLER: "get_sigframe"}.get)
    wanted = stopping.tracer.hit(PROBES[number], *stopping.model.kernel.current()).record.to_json()

    subject = Who(address, hit["pid"], hit["tgid"], hit["comm"])
    flags = Flag.HEADER | Flag.ACTIVE | (Flag.LIVE if hit["fpu"]["fpregs_active"] else Flag(0))
    mask, compaction = hit["header"]["xfeatures"], hit["header"]["xcomp_bv"]
    one = Pass(2 * S, subject, subject, number, 1, CALLER, flags, mask, compaction)
    fast.passes.threads = {hit["pid"]: 100 + hit["pid"]} if stub == "kgdb" else {1: 1, 2: 2}
    data = fast.add(one).to_json()
    assert data.pop("time_ns") == NOW + 2 * S
    wanted.pop("time_ns")
    assert data == wanted


def test_numbers_go_on(setup):
    assert [setup.add(a_pass(tsc=n * S)).seq for n in range(1, 4)] == [1, 2, 3]
    assert (setup.tracer.seq, setup.totals.hits, setup.row.count) == (3, 3, 3)
    assert (setup.row.first_ns, setup.row.last_ns) == (NOW + S, NOW + 3 * S)


def test_another_task_runs(setup):
    tracer = who(10, "gdb", TASK + 0x4000)
    record = setup.add(a_pass(number=1, running=tracer, pid=11, comm="child"))
    assert (record.pid, record.comm, record.caller_pid, record.caller_comm) == (
        11, "child", 10, "gdb"
    )  # fmt: skip
    assert (record.function, record.task, record.fpu) == (
        SANITIZE.function, f"{TASK:#x}", f"{TASK + FPU:#x}"
    )  # fmt: skip


def test_without_a_header(setup):
    """With --state none, and for a kernel thread, whatever the slot has there."""
    for flags in (Flag(0), Flag.KTHREAD):
        record = setup.add(a_pass(flags))
        assert (record.xfeatures, record.xcomp_bv, record.components) == (None, None, ())
    assert setup.row.components == 0


@pytest.mark.parametrize(
    ("flags", "answer", "why"),
    [
        (Flag.KTHREAD, False, "a kernel thread"),
        (Flag.ACTIVE, True, "fpstate_active at hit 1"),
        (Flag.HEADER | Flag.LIVE, None, "not seen yet"),
    ],
)
def test_whether_the_task_uses_the_fpu(setup, flags, answer, why):
    record = setup.add(a_pass(flags))
    assert (record.uses_fpu, record.why) == (answer, why)
    assert setup.row.use.answer.to_json() is answer


def test_what_is_known_stays(setup):
    setup.add(a_pass(Flag.ACTIVE))
    record = setup.add(a_pass(Flag.HEADER))
    assert (record.seq, record.uses_fpu, record.why) == (2, True, "fpstate_active at hit 1")


@pytest.mark.parametrize("backtrace", [0, 1])
def test_the_caller(backtrace):
    world = World()
    world.add(0, flags=PF_KTHREAD)
    setup = Setup(world, backtrace=backtrace)
    record = setup.add(a_pass())
    assert record.backtrace == (f"around {CALLER:#x}",) * backtrace
    setup.count((0, a_row(5)))
    assert setup.totals.paths == {(SIGFRAME.function, *record.backtrace): 6}


def test_a_thread_that_gdb_does_not_know(setup):
    setup.passes.threads = {43: 7}
    assert [setup.add(a_pass(pid=pid)).thread for pid in (43, 44)] == [7, None]


def test_threads_are_cpus_elsewhere():
    world = World("qemu")
    world.run(world.add(0, flags=PF_KTHREAD))
    setup = Setup(world)
    setup.passes.threads = {1: 4, 2: 9}
    assert [setup.add(a_pass(cpu=cpu)).thread for cpu in (0, 1, 2)] == [4, 9, None]


# --- counted passes


def test_a_row_is_what_its_passes_would_be(setup):
    setup.passes.threads = {43: 7}
    setup.count((0, a_row(10, 4, first=S, last=9 * S)))
    row = setup.row
    assert (row.pid, row.tgid, row.comm, row.task, row.thread, row.cpu) == (
        43, 42, "Xorg", TASK, 7, 1
    )  # fmt: skip
    assert (row.live_hits, row.memory_hits, row.components) == (4, 6, 7)
    assert (row.hits, row.masks) == ({SIGFRAME.function: 10}, {7: 10})
    assert (row.first_ns, row.last_ns) == (NOW + S, NOW + 9 * S)
    assert (setup.totals.hits, setup.tracer.seq) == (10, 10)
    assert setup.totals.paths == {(SIGFRAME.function, f"around {CALLER:#x}"): 10}


def test_only_what_is_new_is_counted(setup):
    rows = [a_row(10, 4, last=2 * S), a_row(10, 4, last=2 * S), a_row(13, 6, last=5 * S)]
    for row in rows:
        setup.count((0, row), (1, a_row(1, 1, number=1, pid=50, task=TASK + 0x4000)))
    xorg, other = setup.totals.tasks.values()
    assert (xorg.live_hits, xorg.memory_hits, xorg.last_ns) == (6, 7, NOW + 5 * S)
    assert (other.live_hits, other.memory_hits, other.hits) == (1, 0, {SANITIZE.function: 1})
    assert (setup.totals.hits, setup.tracer.seq) == (14, 14)


def test_a_row_without_passes_adds_no_task(setup):
    setup.count((0, a_row(0)))
    assert (setup.totals.tasks, setup.totals.hits, setup.tracer.seq) == ({}, 0, 0)


def test_rows_of_one_task_in_any_order(setup):
    """Rows are in the order in which they were first hit, not last."""
    rows = [
        (0, a_row(3, first=2 * S, last=90 * S, cpu=1, comm="now")),
        (1, a_row(3, first=S, last=50 * S, cpu=0, comm="before", number=1)),
        (2, a_row(3, first=3 * S, last=60 * S, cpu=0, comm="before", mask=3)),
    ]
    for order in (rows, rows[::-1]):
        fresh = Setup(setup.world)
        fresh.passes.threads = {43: 7}
        fresh.count(*order, newest=90 * S)
        row = fresh.row
        assert (row.first_ns, row.last_ns) == (NOW + S, NOW + 90 * S)
        assert (row.comm, row.cpu, row.thread) == ("now", 1, 7)
        assert row.masks == {7: 6, 3: 3}


def test_a_cpu_that_was_stopped_between_the_two_counters(setup):
    """It has counted the pass, and not yet that it was live. No pass counts twice."""
    chance = random.Random(2)
    hits = live = 0
    for last in range(1, 500):
        was_live = chance.random() < 0.5
        hits, live = hits + 1, live + was_live
        late = was_live and chance.random() < 0.5
        setup.count((0, a_row(hits, live - late, last=last * S)))
        setup.count((0, a_row(hits, live, last=last * S)))
        assert (setup.totals.hits, setup.tracer.seq, setup.row.count) == (hits, hits, hits)
        assert live - 1 <= setup.row.live_hits <= live
        assert Counter(setup.row.hits).total() == hits == sum(setup.row.masks.values())


@pytest.mark.parametrize(("hits", "live"), [(9, 4), (10, 3), (20, 3), (0, 0), (9, 9)])
def test_counters_that_go_back(setup, hits, live):
    setup.count((0, a_row(10, 4)))
    with pytest.raises(CorruptState) as caught:
        setup.count((0, a_row(hits, live)))
    assert str(caught.value) == ("the table's counters went back: the kernel's memory was damaged")
    assert (setup.totals.hits, setup.tracer.seq, setup.row.live_hits) == (10, 10, 4)
    setup.count((0, a_row(11, 5)))
    assert (setup.totals.hits, setup.row.live_hits) == (11, 5)


def test_a_large_row(setup):
    """Counters are 64 bits wide; nothing walks over single hits."""
    setup.count((0, a_row((1 << 64) - 1, 1 << 63)))
    assert (setup.row.count, setup.row.live_hits) == ((1 << 64) - 1, 1 << 63)


def test_what_flags_of_a_row_say_of_the_task(setup):
    setup.count((0, a_row(3, flags=Flag.ACTIVE | Flag.HEADER)))
    assert setup.row.use == (Answer.YES, "fpstate_active")
    setup.count((1, a_row(3, flags=Flag.KTHREAD, pid=2, task=TASK + 0x4000)))
    assert setup.totals.tasks[TASK + 0x4000, 2].use == (Answer.NO, "a kernel thread")


def test_totals_that_were_cleared_begin_anew(setup):
    setup.count((0, a_row(10, 4)))
    setup.tracer.totals = setup.totals = Totals()
    setup.count((0, a_row(12, 5)))
    assert (setup.row.live_hits, setup.row.memory_hits) == (1, 1)


@pytest.mark.parametrize(("fast", "recorded"), [(False, "debugger"), (True, "kernel")])
def test_the_header_of_an_event_file_says_who_recorded(setup, fast, recorded):
    found = header(setup.model, "ab", fast=fast)
    assert ["schema", *found] == list(HEADER)
    assert (found["recorded"], found["build_id"]) == (recorded, "ab")
