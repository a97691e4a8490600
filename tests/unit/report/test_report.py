# SPDX-License-Identifier: GPL-2.0-or-later
"""The report: the trace's totals joined with a walk over the tasks."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from fake_kernel import FPU, GOLDEN, NVCSW, PF_KTHREAD, SYMBOLS, TASK_BASE, TASKS, World, layouts_44

import gdbfpu.report.report
from gdbfpu.errors import CorruptState, MemoryFault
from gdbfpu.fpu import model as fpu
from gdbfpu.fpu.evidence import Answer, Basis, Evidence, Observation, Use
from gdbfpu.fpu.looks import Looks
from gdbfpu.fpu.model import FpuModel
from gdbfpu.kernel.tasks import Kernel, Task
from gdbfpu.report.report import collect
from gdbfpu.report.sorts import SORTS
from gdbfpu.target import Thread
from gdbfpu.trace.totals import Totals

ACTIVE = FPU + 4


class Setup:
    """A kernel with a kernel thread, two tasks that use the FPU and one that does not."""

    def __init__(self, stub="kgdb"):
        self.world = world = World(stub)
        world.add(0, b"swapper/0", flags=PF_KTHREAD)
        self.init = world.add(1, b"init")
        self.user = world.add(30, b"Xorg")
        self.thread = world.add(31, b"Xorg:sh0", leader=self.user)
        for task in (self.user, self.thread):
            world.target.put_int(task + ACTIVE, 1, 1)
        world.target.all_threads = (Thread(1, 1), Thread(2, 30), Thread(9, 0xFFFFFFFE))
        self.totals = Totals()
        self.model = fpu.probe(Kernel(world.target, layouts_44()))

    def hits(self, address, pid, count, comm="x", **fields):
        row = self.totals.row(Task(address, pid, pid, comm, False))
        row.hits["copy_fpstate_to_sigframe"] += count
        row.live_hits += count - 1
        row.memory_hits += 1
        for name, value in fields.items():
            setattr(row, name, value)
        for _ in range(count):
            self.totals.paths[self.totals.path(("copy_fpstate_to_sigframe", "get_sigframe"))] += 1
        return row

    def collect(self):
        self.progress = []
        return collect(Looks(self.model), self.totals, self.progress.append)


@pytest.fixture
def setup():
    return Setup()


def answers(rows):
    return [row.use.answer.to_json() for row in rows]


def pids(rows):
    return [row.pid for row in rows]


def test_without_a_trace_it_is_the_task_walk(setup):
    report = setup.collect()
    assert pids(report.rows) == [30, 31, 1]
    assert answers(report.rows) == [True, True, False]
    assert [row.use.why for row in report.rows] == ["fpstate_active"] * 2 + ["no fpstate_active"]
    assert [row.thread for row in report.rows] == [2, None, 1]
    assert [row.tgid for row in report.rows] == [30, 30, 1]
    assert (report.tasks, report.kthreads, report.using, report.hits) == (4, 1, 2, 0)
    assert (report.paths, report.defects, report.functions()) == ((), (), ())
    assert report.kernel == GOLDEN["kernel"].strip()
    assert report.switching == "lazy"
    assert setup.progress == [1, 2, 3, 4]


def test_hits_are_joined_by_address_and_pid(setup):
    setup.hits(setup.init, 1, 3, "old name", thread=77, cpu=1, components=3, first_ns=5, last_ns=9)
    setup.hits(setup.init, 99, 2, "dead", use=Use(Answer.YES), thread=44)
    report = setup.collect()
    assert [(row.pid, row.comm, row.count) for row in report.rows] == [
        (99, "dead", 2),
        (30, "Xorg", 0),
        (31, "Xorg:sh0", 0),
        (1, "init", 3),
    ]
    dead, *_, init = report.rows
    assert (init.thread, init.cpu, init.components) == (1, 1, 3)
    assert (init.live_hits, init.memory_hits, init.first_ns, init.last_ns) == (2, 1, 5, 9)
    assert dead.thread == 44
    # those that have ended are rows, but no task of the kernel's
    assert (report.tasks, report.using, report.hits) == (4, 2, 5)
    assert report.paths == ((("copy_fpstate_to_sigframe", "get_sigframe"), 5),)


def test_the_totals_are_left_as_they_were(setup):
    row = setup.hits(setup.user, 30, 1, "before")
    setup.collect()
    setup.collect()
    assert (row.comm, row.thread, row.count) == ("before", None, 1)
    assert len(setup.totals.tasks) == 1


def test_use_that_was_seen_counts_though_it_shows_no_more(setup):
    setup.hits(setup.init, 1, 1)
    proof = Observation(Basis.FRAME, 4, 3)
    setup.totals.learn(setup.model.kernel.task(setup.init), Evidence().with_(proof))
    report = setup.collect()
    assert report.using == 3
    init = next(row for row in report.rows if row.pid == 1)
    assert init.use == (Answer.YES, "AVX values in the frame of hit 3")


def test_use_that_was_denied_is_looked_at_again(setup):
    denied = Evidence().with_(Observation(Basis.STATE, 0, flag="no fpstate_active"))
    setup.totals.learn(setup.model.kernel.task(setup.user), denied)
    assert answers(setup.collect().rows[:1]) == [True]


def test_use_that_a_report_saw_counts_in_those_that_follow(setup):
    """Also when its state is gone, and no hit of the task was ever recorded."""
    setup.collect()
    setup.world.target.put_int(setup.user + ACTIVE, 0, 1)
    assert {row.pid: row.use.answer for row in setup.collect().rows}[30] is Answer.YES


def test_users_first_then_hits_then_pid(setup):
    more = [setup.world.add(pid) for pid in (7, 8, 5)]
    setup.hits(more[0], 7, 2)
    setup.hits(setup.thread, 31, 4)
    assert pids(setup.collect().rows) == [31, 30, 7, 1, 5, 8]


def test_kernel_threads_are_rows_only_when_hit(setup):
    worker = setup.world.add(40, b"kworker", flags=PF_KTHREAD)
    assert 40 not in pids(setup.collect().rows)
    setup.hits(worker, 40, 1)
    report = setup.collect()
    assert 40 in pids(report.rows)
    assert (report.kthreads, report.using) == (2, 2)


def test_threads_have_numbers_over_kgdb_only():
    setup = Setup("qemu")
    setup.hits(setup.init, 1, 1, thread=2)
    rows = {row.pid: row.thread for row in setup.collect().rows}
    assert rows == {1: 2, 30: None, 31: None}


# --- what cannot be read


@pytest.mark.parametrize(("flags", "using"), [(PF_KTHREAD, 0), (0, 1)])
def test_one_task_is_counted_in_numbers(flags, using):
    """And a number is no `true`, in JSON either."""
    setup = Setup.__new__(Setup)
    setup.world, setup.totals = World("kgdb"), Totals()
    task = setup.world.add(0, b"swapper/0", flags=flags)
    setup.world.target.put_int(task + ACTIVE, 1, 1)
    setup.model = fpu.probe(Kernel(setup.world.target, layouts_44()))
    report = setup.collect()
    counts = (report.tasks, report.kthreads, report.using)
    assert counts == (1, 1 - using, using)
    assert [type(count) for count in counts] == [int, int, int]
    assert f'"using_fpu": {using},' in json.dumps(report.to_json())


def test_walk_that_ends_early_is_a_defect(setup):
    setup.hits(setup.thread, 31, 1)
    setup.world.target.put_int(setup.init + TASKS, 0xDEAD000000000100)
    report = setup.collect()
    assert pids(report.rows) == [31, 1]
    assert report.tasks == 2
    (defect,) = report.defects
    assert defect.startswith("the remaining tasks could not be read: cannot read ")


@pytest.mark.parametrize("error", [MemoryFault(0x123, 832), CorruptState("odd state")])
def test_state_that_cannot_be_read_is_a_defect_of_that_task_alone(setup, monkeypatch, error):
    honest = FpuModel.state_there

    def state_there(model, task):
        if task == setup.user:
            raise error
        return honest(model, task)

    monkeypatch.setattr(FpuModel, "state_there", state_there)
    report = setup.collect()
    answers = {row.pid: row.use.answer.to_json() for row in report.rows}
    assert answers == {1: False, 30: None, 31: True}
    assert report.defects == (f"FPU state of Xorg (pid 30): {error}",)
    assert (report.tasks, report.using) == (4, 1)


def test_too_many_tasks_are_counted_and_not_listed(setup, monkeypatch):
    """A kernel may promise millions; a row takes more than a kilobyte."""
    monkeypatch.setattr(gdbfpu.report.report, "MAX_LISTED", 1)
    setup.hits(setup.thread, 31, 2)
    report = setup.collect()
    assert (report.tasks, report.using, report.hits) == (4, 2, 2)
    assert pids(report.rows) == [31, 1]
    assert report.defects == ("1 task without hits not listed, only counted",)


def test_too_many_states_that_cannot_be_read_are_counted(setup, monkeypatch):
    def state_there(_model, _task):
        raise CorruptState("odd state")

    monkeypatch.setattr(FpuModel, "state_there", state_there)
    for pid in range(100, 200):
        setup.world.add(pid, b"many")
    named = [line for line in setup.collect().defects if line.startswith("FPU state of ")]
    assert len(named) == 100
    assert setup.collect().defects[-1] == "the FPU state of 3 more tasks could not be read"


def test_hits_that_were_not_recorded_are_a_defect(setup):
    setup.totals.errors["MemoryFault: cannot read"] += 3
    assert setup.collect().defects == ("3 hits not recorded: MemoryFault: cannot read",)


# --- orders


def test_orders(setup):
    one = setup.hits(setup.init, 1, 5, cpu=1, first_ns=30, last_ns=40, components=2)
    setup.hits(setup.user, 30, 2, cpu=0, first_ns=10, last_ns=90, components=7)
    setup.hits(0x1000, 99, 9, "Zombie", thread=5, cpu=3, first_ns=20, last_ns=25, memory_hits=2)
    one.findings["STALE"] += 1
    report = setup.collect()
    assert {order: pids(report.sorted(order)) for order in SORTS} == {
        "hits": [99, 1, 30, 31],
        "pid": [1, 30, 31, 99],
        "name": [1, 30, 31, 99],  # init, Xorg, Xorg:sh0, Zombie: whatever the case
        "thread": [1, 30, 99, 31],  # none last
        "cpu": [31, 30, 1, 99],
        "first": [31, 30, 99, 1],
        "last": [31, 99, 1, 30],
        "tgid": [1, 30, 31, 99],
        "components": [30, 1, 31, 99],
        "live": [99, 1, 30, 31],
        "memory": [99, 30, 1, 31],
        "findings": [1, 30, 31, 99],
    }


def test_threads_of_a_dump_have_no_numbers(setup):
    setup.world.target.machine = None
    assert {row.thread for row in setup.collect().rows} == {None}


def test_order_of_tasks_without_a_thread_number(setup):
    setup.world.target.all_threads = ()
    assert len(setup.collect().sorted("thread")) == 3


# --- JSON


def test_json(setup):
    row = setup.hits(*(setup.user, 30, 3, "Xorg"), cpu=1, components=1 << 42 | 3)
    row.first_ns, row.last_ns, row.masks = 5, 9, Counter({3: 2, 1 << 42 | 3: 1})
    data = json.loads(json.dumps(setup.collect().to_json("pid")))
    assert data == {
        "kernel": GOLDEN["kernel"].strip(),
        "switching": "lazy",
        "tasks": [
            {
                "thread": 1,
                "pid": 1,
                "tgid": 1,
                "comm": "init",
                "hits": {},
                "cpu": None,
                "components": [],
                "component_hits": {},
                "live_hits": 0,
                "memory_hits": 0,
                "first_ns": None,
                "last_ns": None,
                "uses_fpu": False,
                "why": "no fpstate_active",
                "findings": {},
                "cleaned": {},
            },
            {
                "thread": 2,
                "pid": 30,
                "tgid": 30,
                "comm": "Xorg",
                "cpu": 1,
                "hits": {"copy_fpstate_to_sigframe": 3},
                "components": ["x87", "SSE", "bit 42"],
                "component_hits": {"x87": 3, "SSE": 3, "bit 42": 1},
                "live_hits": 2,
                "memory_hits": 1,
                "first_ns": 5,
                "last_ns": 9,
                "uses_fpu": True,
                "why": "fpstate_active",
                "findings": {},
                "cleaned": {},
            },
            {
                "thread": None,
                "pid": 31,
                "tgid": 30,
                "comm": "Xorg:sh0",
                "hits": {},
                "cpu": None,
                "components": [],
                "component_hits": {},
                "live_hits": 0,
                "memory_hits": 0,
                "first_ns": None,
                "last_ns": None,
                "uses_fpu": True,
                "why": "fpstate_active",
                "findings": {},
                "cleaned": {},
            },
        ],
        "totals": {"tasks": 4, "using_fpu": 2, "hits": 3, "seconds": 4e-9},
        "defects": [],
        "audits": 0,
        "undecided": {},
    }
    assert pids_of(setup.collect().to_json()) == [30, 31, 1]


def pids_of(data):
    return [row["pid"] for row in data["tasks"]]


def test_cpu_zero_is_a_cpu(setup):
    setup.hits(setup.user, 30, 1, cpu=0)
    assert setup.collect().to_json()["tasks"][0]["cpu"] == 0


def test_eager_kernel(setup):
    world = setup.world
    world.target.put_int(SYMBOLS["boot_cpu_data"] + 12 + 4 * 3, 1 << 29, 4)
    world.target.put_int(setup.init + FPU + 64 + 160, 1)
    world.target.put_int(setup.init + FPU + 64 + 512, 7)
    looks, totals = Looks(fpu.probe(Kernel(world.target, layouts_44()))), Totals()
    for run in range(3):  # in memory is one state, until the task ran again
        for task in (setup.user, setup.thread):
            world.target.put_int(task + NVCSW, run)
        report = collect(looks, totals, lambda count: None)
        again = collect(looks, totals, lambda count: None)
        assert report.rows == again.rows
        assert report.switching == "eager"
        answers = {row.pid: row.use.answer.to_json() for row in report.rows}
        known = None if run < 2 else False
        assert answers == {1: True, 30: known, 31: known}
    assert TASK_BASE not in [row.task for row in report.rows]
