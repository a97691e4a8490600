# SPDX-License-Identifier: GPL-2.0-or-later
"""From a hit to its record, its line in the event file, and the totals."""

from __future__ import annotations

import gc
import json
import sys
import time

import pytest
from fake_kernel import (
    FPU,
    GOLDEN,
    INIT_LEGACY,
    PF_KTHREAD,
    PID,
    SYMBOLS,
    QuickTarget,
    World,
    golden_world,
    layouts_44,
)

from gdbfpu.errors import MemoryFault
from gdbfpu.fpu import model as fpu
from gdbfpu.fpu.evidence import Answer
from gdbfpu.fpu.looks import Looks
from gdbfpu.fpu.model import FpuModel
from gdbfpu.kernel.tasks import Kernel, Task
from gdbfpu.probes.catalogue import CATALOGUE, Probe
from gdbfpu.probes.jobs import Job
from gdbfpu.target import Thread
from gdbfpu.trace.event_file import EventWriter
from gdbfpu.trace.totals import Totals
from gdbfpu.trace.tracer import Options, Tracer

SIGFRAME = Probe("copy_fpstate_to_sigframe", Job.SAVE_FRAME, "current", 3, "4.2")
SANITIZE = Probe("fpstate_sanitize_xstate", Job.SANITIZE, "fpu", 1, "4.2")
OLD = Probe("__sanitize_i387_state", Job.SANITIZE, "task", 1, "2.6.35")
HITS = GOLDEN["hits"]
KEYS = {
    *("seq", "time_ns", "function", "thread", "pid", "tgid", "comm", "cpu", "task", "fpu"),
    *("xfeatures", "xcomp_bv", "components", "live", "backtrace", "caller_pid", "caller_comm"),
    *("uses_fpu", "why"),
}
"""The keys of a hit's line, as the documentation of the event file has them."""


def recorded(tracer, probe):
    """What `tracer` records of a hit of `probe` on the CPU that stopped."""
    caught = tracer.hit(probe, *tracer.model.kernel.current())
    if caught is None:
        return None
    tracer.write(caught)
    tracer.add(caught)
    return caught.record


class Setup:
    """A Tracer over a World, its file's lines at hand."""

    def __init__(self, world, path=None, **options):
        self.world = world
        self.model = fpu.probe(Kernel(world.target, layouts_44()))
        self.totals = Totals()
        self.path = path
        writer = EventWriter(path, {"stub": world.target.stub.name}) if path else None
        self.tracer = Tracer(Looks(self.model), Options(**options), self.totals, writer)

    def hit(self, probe=SIGFRAME, task=None, cpu=0):
        """Record a hit as a breakpoint does; return its record, None if it was filtered out."""
        if task is not None:
            self.world.run(task, cpu)
        return recorded(self.tracer, probe)

    def lines(self):
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def world():
    world = World()
    world.add(0, b"swapper/0", flags=PF_KTHREAD)
    return world


# --- one record


@pytest.mark.parametrize("stub", ["kgdb", "qemu"])
@pytest.mark.parametrize("hit", HITS, ids=lambda hit: f"{hit['comm']}-{hit['function'][:4]}")
def test_record_of_a_recorded_hit(hit, stub):
    world, task = golden_world(hit, stub)
    world.run(task, 1)
    address = int(hit["fpu_address"], 16)
    world.target.registers["rdi"] = address
    world.target.frames = tuple(hit["backtrace"][1:])
    probe = SIGFRAME if hit["function"] == SIGFRAME.function else SANITIZE
    assert probe.function == hit["function"]
    setup = Setup(world, backtrace=3)
    before = time.time_ns()
    record = setup.hit(probe)
    data = record.to_json()
    assert before <= data.pop("time_ns") <= time.time_ns()
    assert data == {
        "seq": 1,
        "function": hit["function"],
        "thread": 100 + hit["pid"] if stub == "kgdb" else 2,
        "pid": hit["pid"],
        "tgid": hit["tgid"],
        "comm": hit["comm"],
        "cpu": 1,
        "task": hex(address - 1792),
        "fpu": hit["fpu_address"],
        "xfeatures": hex(hit["header"]["xfeatures"]),
        "xcomp_bv": hex(hit["header"]["xcomp_bv"]),
        "components": ("x87", "SSE", "AVX") if hit["header"]["xfeatures"] == 7 else (),
        "live": bool(hit["fpu"]["fpregs_active"]),
        "backtrace": tuple(hit["backtrace"][1:4]),
        "caller_pid": hit["pid"],
        "caller_comm": hit["comm"],
        "uses_fpu": True,
        "why": "fpstate_active at hit 1",
    }


def test_full_state_is_the_images_bytes():
    world, task = golden_world(HITS[0])
    setup = Setup(world, state="full")
    data = setup.hit(task=task).to_json()
    assert set(data) == KEYS | {"raw"}
    assert data["raw"] == HITS[0]["fpu_bytes"][2 * 64 :]
    assert data["xfeatures"] == "0x7"


def test_full_state_has_the_registers_of_the_cpu_beside_memorys():
    world, task = golden_world(HITS[0], "qemu")
    shown = {"ymm3": bytes(range(32)), "ftw": b"\x01"}
    world.target.fpu[0] = shown
    world.target.put_int(task + FPU + 5, 1, 1)
    data = Setup(world, state="full").hit(task=task).to_json()
    assert data["live"] is True
    assert data["raw"] == HITS[0]["fpu_bytes"][2 * 64 :]
    assert data["registers"] == {name: value.hex() for name, value in shown.items()}
    assert "registers" not in Setup(world, state="header").hit(task=task).to_json()
    world.target.put_int(task + FPU + 5, 0, 1)
    assert "registers" not in Setup(world, state="full").hit(task=task).to_json()


def test_a_child_without_a_state_is_recorded(world, monkeypatch):
    """Only its parent's call shows it: a running task has a state."""
    parent, child = world.add(30), world.add(31)
    setup = Setup(world)
    world.run(parent)
    monkeypatch.setattr(type(setup.tracer.model), "lacks_image", lambda _, fpu: fpu == child + FPU)
    world.target.registers["rdi"] = child
    fork = Probe("fpu_clone", Job.FORK, "task", 4, "5.14")
    data = setup.hit(fork).to_json()
    assert (data["pid"], data["caller_pid"]) == (31, 30)
    assert (data["xfeatures"], data["xcomp_bv"], data["components"]) == (None, None, ())
    world.target.registers["rdi"] = parent
    assert setup.hit(fork).to_json()["xfeatures"] is not None


def test_a_call_that_is_granted_is_no_hit():
    """A bool is in AL: the rest of RAX has anything."""
    (probe,) = [probe for probe in CATALOGUE if probe.refusal]
    world, task = golden_world(HITS[0])
    setup = Setup(world)
    world.run(task)
    world.target.registers["rax"] = 0xDEAD01
    assert setup.hit(probe) is None
    assert (setup.totals.hits, setup.totals.filtered) == (0, 0)
    world.target.registers["rax"] = 0xDEAD00
    assert setup.hit(probe).to_json()["function"] == "irq_fpu_usable"
    assert setup.hit(SIGFRAME) is not None


def test_without_state_no_header_is_read():
    world, task = golden_world(HITS[0])
    setup = Setup(world, state="none")
    world.run(task)
    world.target.reads.clear()
    data = setup.hit().to_json()
    assert set(data) == KEYS
    assert (data["xfeatures"], data["xcomp_bv"], data["components"]) == (None, None, ())
    assert data["live"] is False
    image = task + FPU + 64
    assert not [read for read in world.target.reads if read[0] + read[1] > image >= task > read[0]]
    assert not [read for read in world.target.reads if image <= read[0] < image + 832]
    assert setup.totals.tasks[(task, 31)].use.answer is Answer.UNKNOWN


def test_unknown_components_are_shown(world):
    task = world.add(5)
    world.target.put_int(task + FPU + 64 + 512, 1 << 42 | 2)
    assert Setup(world).hit(task=task).components == ("SSE", "bit 42")


def test_no_callers_wanted_none_asked_for(world):
    task = world.add(5)
    world.target.backtrace = lambda depth: pytest.fail("asked for a backtrace")
    setup = Setup(world, backtrace=0)
    assert setup.hit(task=task).backtrace == ()
    assert setup.totals.paths == {(SIGFRAME.function,): 1}


# --- whose state it is


@pytest.fixture
def traced(world):
    """A tracer that runs on CPU 1 and its child, whose registers are in memory."""
    tracer, child = world.add(10, b"tracer"), world.add(11, b"child")
    world.run(tracer, 1)
    world.target.put_int(tracer + FPU + 5, 1, 1)
    world.target.put_int(child + FPU + 64 + 512, 3)
    world.target.all_threads = (Thread(1, 1), Thread(7, 11), Thread(110, 10))
    return world, tracer, child


@pytest.mark.parametrize(("probe", "offset"), [(SANITIZE, FPU), (OLD, 0)])
def test_argument_says_whose_state_it_is(traced, probe, offset):
    world, _, child = traced
    world.target.registers["rdi"] = child + offset
    record = Setup(world).hit(probe)
    assert (record.pid, record.comm, record.task, record.fpu) == (
        11,
        "child",
        hex(child),
        hex(child + FPU),
    )
    assert (record.thread, record.cpu, record.live) == (7, 1, False)
    assert record.components == ("x87", "SSE")
    assert (record.caller_pid, record.caller_comm) == (10, "tracer")


def test_argument_does_not_matter_where_it_is_none(traced):
    world, tracer, child = traced
    world.target.registers["rdi"] = child + FPU
    record = Setup(world).hit(SIGFRAME)
    assert (record.pid, record.task, record.thread) == (10, hex(tracer), 110)
    assert record.live is True


def test_thread_of_a_task_that_gdb_does_not_know_yet(traced):
    world, tracer, child = traced
    setup = Setup(world)
    world.target.registers["rdi"] = child + FPU
    world.target.all_threads = (Thread(110, 10),)
    assert setup.hit(SANITIZE).thread is None
    world.target.all_threads += (Thread(12, 11),)
    assert setup.hit(SANITIZE).thread == 12
    assert setup.hit(SIGFRAME, tracer).thread == 110
    world.target.threads = lambda: pytest.fail("asked for all threads again")
    world.run(tracer, 1)
    assert setup.hit(SANITIZE).thread == 12


def test_threads_are_vcpus_under_the_gdbstub():
    world = World("qemu")
    world.add(0, flags=PF_KTHREAD)
    tracer, child = world.add(10), world.add(1)  # a pid that is a vCPU's number, too
    world.run(tracer, 1)
    world.target.registers["rdi"] = child + FPU
    world.target.all_threads = (Thread(1, 1), Thread(2, 2))
    assert Setup(world).hit(SANITIZE).thread == 2


def test_wild_argument_is_a_fault_and_no_hit(world):
    task = world.add(5)
    setup = Setup(world)
    for rdi in (0, 8, 0xDEAD000000000000, None):
        world.target.registers["rdi"] = rdi
        with pytest.raises(MemoryFault):
            setup.hit(SANITIZE, task)
    assert (setup.tracer.seq, setup.totals.hits, setup.totals.tasks) == (0, 0, {})


# --- filters and the limit

SHELL = Task(1, 20, 20, "sh[1]", False)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, True),
        ({"pids": (20,)}, True),
        ({"pids": (19, 20)}, True),
        ({"pids": (19, 21)}, False),
        ({"comms": ("sh*",)}, True),
        ({"comms": ("bash", "s?[[]1]")}, True),
        ({"comms": ("sh",)}, False),
        ({"comms": ("SH*",)}, False),
        ({"comms": ("*h*",), "pids": (20,)}, True),
        ({"comms": ("*x*",), "pids": (20,)}, False),
        ({"comms": ("*h*",), "pids": (21,)}, False),
    ],
)
def test_filters(options, wanted):
    assert Options(**options).wants(SHELL) is wanted


def test_filtered_hits_leave_no_trace_but_a_count(world, tmp_path):
    wanted, other = world.add(5, b"wanted"), world.add(6, b"other")
    setup = Setup(world, tmp_path / "out", comms=("want*",))
    sequence = [setup.hit(task=task) for task in (other, wanted, other, other, wanted)]
    assert [hit and hit.seq for hit in sequence] == [None, 1, None, None, 2]
    assert setup.totals.filtered == 3
    assert [row.comm for row in setup.totals.tasks.values()] == ["wanted"]
    assert [line["comm"] for line in setup.lines()[1:]] == ["wanted", "wanted"]
    setup.tracer.close()


def test_filters_go_by_whose_state_it_is(traced):
    world, _, child = traced
    world.target.registers["rdi"] = child + FPU
    assert Setup(world, pids=(11,)).hit(SANITIZE) is not None
    assert Setup(world, pids=(10,)).hit(SANITIZE) is None


def test_limit(world):
    task = world.add(5)
    setup = Setup(world, limit=2)
    full = [setup.tracer.full]
    for _ in range(3):
        setup.hit(task=task)
        full.append(setup.tracer.full)
    assert full == [False, False, True, True]
    unlimited = Setup(world, limit=0)
    unlimited.hit(task=task)
    assert unlimited.tracer.full is False


# --- the event file


def test_lines_of_the_event_file(world, tmp_path):
    tasks = [world.add(5, b"one"), world.add(6, b"evil\x1b\xff\n")]
    setup = Setup(world, tmp_path / "out")
    for i in range(7):
        setup.hit(task=tasks[i % 2], cpu=i % 2)
    header, *lines = setup.lines()  # before the end of the trace: each line is there at once
    assert header == {"schema": 1, "stub": "kgdb"}
    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5, 6, 7]
    assert all(set(line) == KEYS for line in lines)
    assert [line["comm"] for line in lines[:2]] == ["one", r"evil\x1b\xff\x0a"]
    assert [line["cpu"] for line in lines] == [0, 1, 0, 1, 0, 1, 0]
    assert sorted(line["time_ns"] for line in lines) == [line["time_ns"] for line in lines]
    setup.tracer.close()
    with pytest.raises(ValueError, match="closed"):
        setup.tracer.writer.write({})


def test_unreadable_hit_leaves_no_gap(world, tmp_path):
    good, bad = world.add(5), world.add(6)
    setup = Setup(world, tmp_path / "out")
    setup.hit(task=good)
    memory = world.target.ranges[bad]
    world.target.ranges[bad] = memory[: FPU + 64]  # its identity can be read, its header not
    with pytest.raises(MemoryFault):
        setup.hit(task=bad)
    assert setup.totals.hits == 1
    setup.hit(task=good)
    assert [line["seq"] for line in setup.lines()[1:]] == [1, 2]
    setup.tracer.close()


def test_state_that_cannot_be_looked_at_loses_no_hit(world, tmp_path, monkeypatch):
    """Learning whether a task uses the FPU reads more than the hit's record does."""

    def fault(model, task):
        raise MemoryFault(0x1000, 832)

    monkeypatch.setattr(FpuModel, "state_there", fault)
    task = world.add(5)
    setup = Setup(world, tmp_path / "out")
    assert [setup.hit(task=task).seq for _ in range(3)] == [1, 2, 3]
    assert [line["seq"] for line in setup.lines()[1:]] == [1, 2, 3]
    assert setup.totals.tasks[(task, 5)].use.answer is Answer.UNKNOWN
    setup.tracer.close()


class FullDisk:
    """An event file that takes no more after some lines."""

    path = "out"

    def __init__(self, lines):
        self.left, self.closed = lines, 0

    def write(self, event):
        if not self.left:
            raise OSError(28, "No space left on device")
        self.left -= 1

    def close(self):
        self.closed += 1


def test_trace_goes_on_without_its_file(world):
    task = world.add(5)
    setup = Setup(world)
    disk = setup.tracer.writer = FullDisk(2)
    assert [setup.hit(task=task).seq for _ in range(5)] == [1, 2, 3, 4, 5]
    assert disk.closed == 1
    assert setup.totals.hits == 5
    ((reason, count),) = setup.totals.errors.items()
    assert count == 1
    assert "hit 3" in reason
    assert "No space left on device" in reason


# --- the totals


def test_totals_of_a_task(world, monkeypatch):
    clock = iter((100, 200, 300, 400))
    monkeypatch.setattr(time, "time_ns", lambda: next(clock))
    task, other = world.add(5, b"shell"), world.add(6, b"other")
    setup = Setup(world)
    header, active = task + FPU + 64 + 512, task + FPU + 5
    world.target.put_int(header, 1)
    world.target.frames = ("get_sigframe", "handle_signal")
    setup.hit(task=task, cpu=0)
    world.target.put_int(header, 4)
    world.target.put_int(active, 1, 1)
    world.target.put(task + 1144, b"editor\0")
    setup.hit(task=task, cpu=1)
    setup.hit(task=other, cpu=0)
    world.target.registers["rdi"] = task + FPU
    world.target.put_int(header, 0)
    setup.hit(SANITIZE, task, cpu=1)
    row = setup.totals.tasks[(task, 5)]
    assert (row.pid, row.tgid, row.comm, row.task) == (5, 5, "editor", task)
    assert (row.thread, row.cpu) == (105, 1)
    assert row.hits == {SIGFRAME.function: 2, SANITIZE.function: 1}
    assert (row.live_hits, row.memory_hits, row.count) == (2, 1, 3)
    assert row.components == 5
    assert (row.first_ns, row.last_ns) == (100, 400)
    assert setup.totals.hits == 4
    assert setup.totals.paths == {
        (SIGFRAME.function, "get_sigframe"): 3,
        (SANITIZE.function, "get_sigframe"): 1,
    }


def test_a_task_in_an_old_ones_place_has_its_own_totals(world):
    task = world.add(5)
    setup = Setup(world)
    setup.hit(task=task)
    world.target.put_int(task + PID, 6, 4)
    setup.hit(task=task)
    assert sorted(setup.totals.tasks) == [(task, 5), (task, 6)]


def test_use_is_remembered_when_the_state_is_gone(world):
    world.target.put_int(SYMBOLS["boot_cpu_data"] + 12 + 4 * 3, 1 << 29, 4)  # eager
    task = world.add(5)
    setup = Setup(world)
    world.target.put(task + FPU + 64, b"\x7e\x03")
    world.target.put_int(task + FPU + 64 + 512, 7)
    setup.hit(task=task)
    world.target.put(task + FPU + 64, INIT_LEGACY)
    for _ in range(3):
        setup.hit(task=task)
    assert setup.totals.tasks[(task, 5)].use == (Answer.YES, "x87 values in memory at hit 1")


def test_memory_is_constant_after_the_first_hits_of_each_task():
    world = World(target=QuickTarget())
    tasks = [world.add(pid, b"task %d" % pid, linked=False) for pid in range(200)]
    model = fpu.probe(Kernel(world.target, layouts_44()))
    tracer = Tracer(Looks(model), Options(), Totals(), None)

    def blocks_after(hits):
        for i in range(hits):
            world.run(tasks[1 + i % 199], i % 2)
            recorded(tracer, SIGFRAME)
        gc.collect()
        return sys.getallocatedblocks()

    first, second = blocks_after(2000), blocks_after(2000)
    assert tracer.totals.hits == 4000
    assert len(tracer.totals.tasks) == 199
    assert second - first < 199  # less than one a task, let alone a hit
