# SPDX-License-Identifier: GPL-2.0-or-later
"""Which hits are looked at to see who uses the FPU, and which frames are waited for."""

from __future__ import annotations

import json

import pytest
from fake_kernel import FPU, INIT_LEGACY, PF_KTHREAD, SYMBOLS, World, layouts_44

from gdbfpu.errors import MemoryFault
from gdbfpu.fpu import model as fpu
from gdbfpu.fpu.evidence import Answer, Evidence
from gdbfpu.fpu.looks import Looks
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.probes.catalogue import CATALOGUE
from gdbfpu.trace import users as module
from gdbfpu.trace.event_file import EventWriter
from gdbfpu.trace.totals import Totals
from gdbfpu.trace.tracer import Options, Tracer
from gdbfpu.trace.users import waits_for_frames

PROBES = {probe.function: probe for probe in CATALOGUE}
SAVE, SANITIZE = PROBES["copy_fpstate_to_sigframe"], PROBES["fpstate_sanitize_xstate"]
FORK = PROBES["fpu__copy"]
ACTIVE, REGS_ACTIVE, STATE = FPU + 4, FPU + 5, FPU + 64
FRAME = 0x7FFD5C965140
INITIAL = INIT_LEGACY + b"\x07".ljust(64, b"\0") + bytes(256)
USED = INIT_LEGACY + b"\x07".ljust(64, b"\0") + b"\x01" + bytes(255)  # of AVX


class Traced:
    """Hits of one task of a 4.4, whose registers are in the CPU, or in memory."""

    def __init__(self, path, switching="eager", live=True, **options):
        self.world = World()
        if switching == "eager":  # X86_FEATURE_EAGER_FPU
            self.world.target.put_int(SYMBOLS["boot_cpu_data"] + 12 + 4 * 3, 1 << 29, 4)
        self.world.add(0, flags=PF_KTHREAD)
        self.task = self.world.add(5, b"task")
        self.world.run(self.task, 1)
        self.put(self.task + REGS_ACTIVE, bytes([live]))
        self.put(self.task + STATE, INITIAL)
        self.put(FRAME, INITIAL)
        self.world.target.registers.update(rdi=FRAME, rsi=FRAME, rdx=836, rax=0)
        self.totals, self.path = Totals(), path
        looks = Looks(fpu.probe(Kernel(self.world.target, layouts_44())))
        writer = EventWriter(path, {})
        self.tracer = Tracer(looks, Options(**options), self.totals, writer)

    def put(self, address, data):
        self.world.target.put(address, data)

    def current(self):
        return self.tracer.model.kernel.current()

    def record(self, entry):
        """Record `entry` as a breakpoint does: each step may be made twice, for a ^C."""
        if entry is not None:
            self.tracer.write(entry)
            for _ in range(2):
                self.tracer.add(entry)
        return entry

    def hit(self, probe=SAVE):
        caught = self.record(self.tracer.hit(probe, *self.current()))
        for _ in range(2):
            self.tracer.wait(caught)
        return caught

    def back(self):
        """Return what the frame showed, if anybody waited for it."""
        return self.record(self.tracer.learned(self.current()[1]))

    @property
    def known(self):
        return self.totals.known(self.current()[1])

    def lines(self):
        return [json.loads(line) for line in self.path.read_text().splitlines()[1:]]


@pytest.fixture
def traced(tmp_path):
    made = []

    def make(**options):
        made.append(Traced(tmp_path / "out", **options))
        return made[-1]

    yield make
    for one in made:
        one.tracer.close()


def test_a_live_hit_waits_for_its_frame(traced):
    run = traced()
    run.hit()
    assert run.tracer.waiting
    assert run.known == Evidence()
    run.put(FRAME, USED)
    run.back()
    assert not run.tracer.waiting
    assert run.known.use == (Answer.YES, "AVX values in the frame of hit 1")
    hit, learned = run.lines()
    assert (hit["uses_fpu"], hit["why"]) == (None, "not seen yet")
    assert learned == {
        "use_of": 1,
        "task": hex(run.task),
        "pid": 5,
        "uses_fpu": True,
        "why": "AVX values in the frame of hit 1",
    }
    run.hit()
    assert not run.tracer.waiting
    assert run.totals.tasks[run.task, 5].use.answer is Answer.YES
    assert run.lines()[-1]["why"] == "AVX values in the frame of hit 1"


def test_frames_are_waited_for_at_the_first_hits_then_ever_more_rarely(traced):
    run, waited = traced(), []
    for number in range(1, 40):
        run.hit()
        if run.tracer.waiting:
            waited.append(number)
            run.back()
    assert waited == [1, 2, 3, 4, 8, 16, 32]
    assert run.known.use == (Answer.NO, "initial in 7 frames")


def test_a_task_that_begins_late_is_seen_to(traced):
    run = traced()
    for _ in range(7):
        run.hit()
        run.back()
    assert run.known.answer is Answer.NO
    run.put(FRAME, USED)
    run.hit()
    run.back()
    assert run.known.use == (Answer.YES, "AVX values in the frame of hit 8")


def test_what_is_in_memory_is_read_at_once(traced):
    run = traced(live=False)
    run.put(run.task + STATE, USED)
    run.hit()
    assert not run.tracer.waiting
    assert run.known.use == (Answer.YES, "AVX values in memory at hit 1")


def test_memory_of_a_running_task_is_not_its_own(traced):
    """It may be of a signal handler, or, up to 4.8, of the program before exec."""
    run = traced()
    run.put(run.task + STATE, USED)
    run.hit()
    run.back()
    assert run.known.use == (Answer.UNKNOWN, "initial in 1 frame")


def test_registers_that_the_stub_shows_spare_the_frame(traced):
    run = traced()
    run.world.target.fpu[1] = {"xmm3": b"\0" * 15 + b"\x01"}
    run.hit()
    assert not run.tracer.waiting
    assert run.known.use == (Answer.YES, "SSE values in registers at hit 1")


def test_under_lazy_switching_the_first_hit_tells(traced):
    run = traced(switching="lazy")
    run.put(run.task + ACTIVE, b"\x01")
    run.hit()
    assert not run.tracer.waiting
    assert run.known.use == (Answer.YES, "fpstate_active at hit 1")


def test_a_state_that_a_call_is_about_to_make_is_not_looked_at(traced):
    run = traced(live=False)
    run.world.target.registers["rdi"] = run.task + FPU
    run.put(run.task + STATE, USED)
    run.hit(FORK)
    assert run.known == Evidence()
    run.hit(SANITIZE)
    assert run.known.answer is Answer.YES


def test_without_state_nothing_is_looked_at_and_what_is_known_stays(traced):
    run = traced(live=False, state="none")
    run.put(run.task + STATE, USED)
    run.hit()
    assert run.known == Evidence()
    assert not run.tracer.waiting


def test_a_frame_that_could_not_be_written_shows_nothing(traced):
    run = traced()
    run.hit()
    run.put(FRAME, USED)
    run.world.target.registers["rax"] = 0xFFFFFFFF
    run.back()
    assert not run.tracer.waiting
    assert run.known == Evidence()


def test_a_frame_that_cannot_be_read_loses_nothing(traced):
    run = traced()
    run.hit()
    run.world.target.registers["rax"] = 0
    del run.world.target.ranges[FRAME]
    run.back()
    assert run.known.use == (Answer.UNKNOWN, "its signal frames cannot be read")
    assert (run.totals.hits, run.totals.errors) == (1, {})


def test_a_look_that_fails_loses_no_hit(traced, monkeypatch):
    def fault(looks, task, hit):
        raise MemoryFault(0x1000, 504)

    run = traced(live=False)
    monkeypatch.setattr(Looks, "memory", fault)
    assert run.hit().record.seq == 1
    assert run.known == Evidence()


def test_a_return_that_nobody_waits_for_is_no_entry(traced):
    run = traced()
    assert run.back() is None
    run.hit()
    run.back()
    assert run.back() is None
    assert len(run.lines()) == 2


def test_calls_that_never_return_are_given_up(traced, monkeypatch):
    monkeypatch.setattr(module, "MAX_FRAMES", 2)
    run = traced()
    tasks = [run.task, run.world.add(6), run.world.add(7)]
    for task in tasks:
        run.put(task + REGS_ACTIVE, b"\x01")
        run.world.run(task, 1)
        run.hit()
    run.world.run(tasks[0], 1)
    assert run.back() is None
    for task in tasks[1:]:
        run.world.run(task, 1)
        assert run.back() is not None
    assert not run.tracer.waiting


@pytest.mark.parametrize(
    ("switching", "probe", "waits"),
    [("eager", SAVE, True), ("lazy", SAVE, False), ("eager", SANITIZE, False)],
)
def test_which_returns_are_needed(traced, switching, probe, waits):
    assert waits_for_frames(probe, traced(switching=switching).tracer.looks) is waits
