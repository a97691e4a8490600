# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls from entry to return: by task, nested, never ending, and what is said of each."""

from __future__ import annotations

import pytest
from audit_machines import DEFAULT_PKRU, M44, M49, M66, M310, M510, M517, M44Eager, frame, pattern

from gdbfpu.audit import watch as watch_module
from gdbfpu.audit.watch import MAX_CALLS, Watch, job_of
from gdbfpu.errors import MemoryFault
from gdbfpu.fpu.xstate import MAX_IMAGE
from gdbfpu.probes.catalogue import CATALOGUE
from gdbfpu.probes.jobs import Job

PROBES = {probe.function: probe for probe in CATALOGUE}
SAVE, CLEAN = PROBES["copy_fpstate_to_sigframe"], PROBES["fpstate_sanitize_xstate"]
COPY, RESTORE = PROBES["fpu__copy"], PROBES["fpu__restore_sig"]
STACK = 0x7FFD5C965140
JOBS = {
    Job.SAVE_FRAME: {"copy_fpstate_to_sigframe", "save_xstate_sig"},
    Job.SANITIZE: {"fpstate_sanitize_xstate", "__sanitize_i387_state"},
    Job.FORK: {"fpu_clone", "fpu__copy", "arch_dup_task_struct"},
    Job.EXEC: {"fpu_flush_thread", "fpu__clear_all", "fpu__clear", "flush_thread"},
    Job.SIGRETURN: {"fpu__restore_sig", "__restore_xstate_sig"},
    Job.FAULT: {"fpu_reset_from_exception_fixup", "ex_handler_fprestore"},
}


@pytest.mark.parametrize("function", PROBES)
def test_what_is_audited_of_a_function(function):
    expected = next((job for job, names in JOBS.items() if function in names), None)
    assert job_of(PROBES[function]) is expected


def live_on(m):
    """The CPU that has the registers of alice, which runs on CPU 0; None if they are in memory."""
    return 0 if m.snapshot().model.live(m.alice) else None


class Watched:
    """A Watch over a machine, and its tasks."""

    def __init__(self, m):
        self.m = m
        self.watch = Watch(m.snapshot().model)
        self.alice, self.bob, self.carol = (m.task(t) for t in (m.alice, m.bob, m.carol))

    def stale(self, task, count):
        m = self.m
        m.xfeatures(task.address, 3 if isinstance(m, M44) else 0x203)
        m.poke(task.address, 576, b"\1" * count + bytes(256 - count))

    def says(self, function, caller):
        """Return what is said of a return, and take the call as done, as a Tracer does."""
        said = self.watch.leave(function, caller)
        self.watch.forget(function, caller)
        return said


@pytest.fixture
def watched():
    return Watched(M44())


# --- pairing


def test_calls_are_told_apart_by_the_task_that_makes_them(watched):
    """Two tasks in one function: each return belongs to its own entry."""
    watched.watch.enter(CLEAN, 1, watched.bob, watched.bob, None)
    watched.watch.enter(CLEAN, 2, watched.carol, watched.carol, None)
    watched.stale(watched.carol, 3)
    said = watched.says(CLEAN.function, watched.bob)
    assert (said.hit, said.task, said.findings) == (1, watched.bob, ())
    said = watched.says(CLEAN.function, watched.carol)
    assert (said.hit, said.task) == (2, watched.carol)
    assert [one.rule for one in said.findings] == ["SANITIZE"]


def test_a_call_inside_a_call(watched):
    """copy_fpstate_to_sigframe calls fpstate_sanitize_xstate."""
    watched.watch.enter(SAVE, 1, watched.alice, watched.alice, live_on(watched.m))
    watched.watch.enter(CLEAN, 2, watched.alice, watched.alice, None)
    assert watched.says(CLEAN.function, watched.alice).hit == 2
    assert watched.says(SAVE.function, watched.alice).hit == 1
    assert watched.says(CLEAN.function, watched.alice) is None


def test_of_whom_a_call_is_and_who_makes_it(watched):
    """A tracer's call about its child."""
    watched.stale(watched.bob, 5)
    watched.watch.enter(CLEAN, 7, watched.bob, watched.alice, None)
    assert watched.watch.leave(CLEAN.function, watched.bob) is None
    said = watched.watch.leave(CLEAN.function, watched.alice)
    assert (said.hit, said.function, said.task) == (7, CLEAN.function, watched.bob)
    assert said.left == {"AVX": 5}


def test_a_return_without_an_entry_says_nothing(watched):
    assert watched.watch.leave(CLEAN.function, watched.alice) is None
    watched.watch.forget(CLEAN.function, watched.alice)


def test_a_call_is_known_until_it_is_forgotten(watched):
    watched.watch.enter(COPY, 1, watched.bob, watched.alice, None)
    first = watched.watch.leave(COPY.function, watched.alice)
    assert watched.watch.leave(COPY.function, watched.alice) == first
    watched.watch.forget(COPY.function, watched.alice)
    assert watched.watch.leave(COPY.function, watched.alice) is None


def test_an_entry_noted_again_changes_nothing(watched):
    """A ^C makes a step be made again."""
    watched.stale(watched.bob, 5)
    for _ in range(2):
        watched.watch.enter(CLEAN, 3, watched.bob, watched.bob, None)
    watched.stale(watched.bob, 2)
    said = watched.says(CLEAN.function, watched.bob)
    assert (said.hit, said.cleaned, said.left) == (3, {"AVX": 3}, {"AVX": 2})
    assert watched.watch.leave(CLEAN.function, watched.bob) is None


def test_calls_that_never_return_are_given_up(watched):
    """The oldest go first; a task that dies in a call leaves one."""
    callers = [watched.m.task(watched.m.bob)]
    callers += [type(callers[0])(0x1000 * i, i, i, "x", False) for i in range(1, MAX_CALLS + 1)]
    for number, caller in enumerate(callers):
        watched.watch.enter(COPY, number, watched.bob, caller, None)
    assert watched.watch.leave(COPY.function, callers[0]) is None
    assert watched.watch.leave(COPY.function, callers[1]).hit == 1
    assert watched.watch.leave(COPY.function, callers[-1]).hit == MAX_CALLS


def test_an_entry_noted_again_gives_no_other_call_up(watched, monkeypatch):
    monkeypatch.setattr(watch_module, "MAX_CALLS", 2)
    watched.watch.enter(COPY, 1, watched.bob, watched.alice, None)
    for _ in range(3):
        watched.watch.enter(COPY, 2, watched.bob, watched.bob, None)
    assert watched.watch.leave(COPY.function, watched.alice).hit == 1


def test_a_call_that_begins_anew_is_the_newest(watched, monkeypatch):
    """Its task died within the one before, or never came back to it."""
    monkeypatch.setattr(watch_module, "MAX_CALLS", 2)
    watched.watch.enter(COPY, 1, watched.bob, watched.alice, None)
    watched.watch.enter(COPY, 2, watched.bob, watched.bob, None)
    watched.watch.enter(COPY, 3, watched.bob, watched.alice, None)
    watched.watch.enter(COPY, 4, watched.bob, watched.carol, None)
    assert watched.watch.leave(COPY.function, watched.bob) is None
    assert watched.watch.leave(COPY.function, watched.alice).hit == 3


def test_the_bound_of_calls():
    assert MAX_CALLS == 4096


# --- sanitizer


def test_the_sanitizer_at_work(watched):
    watched.stale(watched.bob, 40)
    watched.watch.enter(CLEAN, 1, watched.bob, watched.bob, None)
    watched.m.poke(watched.m.bob, 576, bytes(256))
    said = watched.says(CLEAN.function, watched.bob)
    assert (said.cleaned, said.left, said.findings, said.undecided) == ({"AVX": 40}, {}, (), ())


def test_a_sanitizer_that_does_half_its_work(watched):
    m = watched.m
    watched.stale(watched.bob, 40)
    m.xfeatures(m.bob, 1)  # SSE too: 256 bytes
    watched.watch.enter(CLEAN, 1, watched.bob, watched.bob, None)
    m.poke(m.bob, 160, bytes(256))
    m.poke(m.bob, 576, bytes(30))
    said = watched.says(CLEAN.function, watched.bob)
    assert (said.cleaned, said.left) == ({"SSE": 256, "AVX": 30}, {"AVX": 10})
    assert [(f.rule, f.component, f.severity.value) for f in said.findings] == [
        ("SANITIZE", "AVX", "error")
    ]


def test_a_sanitizer_that_makes_it_worse(watched):
    watched.stale(watched.bob, 3)
    watched.watch.enter(CLEAN, 1, watched.bob, watched.bob, None)
    watched.stale(watched.bob, 9)
    said = watched.says(CLEAN.function, watched.bob)
    assert (said.cleaned, said.left) == ({}, {"AVX": 9})


@pytest.mark.parametrize(
    ("before", "after", "cleaned", "left"),
    [
        (1, 0, {"AVX": 1}, {}),
        (3, 3, {}, {"AVX": 3}),
        (2, 1, {"AVX": 1}, {"AVX": 1}),
        (0, 0, {}, {}),
    ],
)
def test_what_the_sanitizer_cleaned_is_counted(watched, before, after, cleaned, left):
    watched.stale(watched.bob, before)
    watched.watch.enter(CLEAN, 1, watched.bob, watched.bob, None)
    watched.stale(watched.bob, after)
    said = watched.says(CLEAN.function, watched.bob)
    assert (said.cleaned, said.left) == (cleaned, left)
    assert [f.rule for f in said.findings] == ["SANITIZE"] * len(left)
    assert said.undecided == ()


@pytest.mark.parametrize(
    ("machine", "function"), [(M310, "__sanitize_i387_state"), (M510, "fpstate_sanitize_xstate")]
)
def test_sanitizers_of_other_kernels(machine, function):
    watched = Watched(machine())
    m = watched.m
    m.xfeatures(m.bob, 3 if machine is M310 else 0x203)
    watched.watch.enter(PROBES[function], 1, watched.bob, watched.bob, None)
    said = watched.says(function, watched.bob)
    assert said.left == {"AVX": 256}
    assert [f.rule for f in said.findings] == ["SANITIZE"]


# --- fork, exec, sigreturn, faults


@pytest.mark.parametrize(
    ("machine", "function", "rule"),
    [
        (M44, "fpu__copy", "FORK"),
        (M66, "fpu_clone", "FORK"),
        (M44Eager, "fpu__clear", "EXEC"),
        (M510, "fpu__clear_all", "EXEC"),
        (M66, "fpu_flush_thread", "EXEC"),
    ],
)
def test_what_is_stale_when_a_function_returns(machine, function, rule):
    watched = Watched(machine())
    m = watched.m
    watched.watch.enter(PROBES[function], 4, watched.bob, watched.alice, None)
    for start, length in ((0, 24), (32, 384), (576, 256)):
        m.poke(m.bob, start, bytes(length))
    m.xfeatures(m.bob, 3 if isinstance(m, (M44, M310)) else 0x203)
    clean = watched.watch.leave(function, watched.alice)
    assert (clean.hit, clean.findings) == (4, ())
    m.poke(m.bob, 576, b"\1")
    said = watched.says(function, watched.alice)
    assert [(f.rule, f.component) for f in said.findings] == [(rule, "AVX")]


def test_sigreturn():
    watched = Watched(M510())
    watched.watch.enter(RESTORE, 4, watched.alice, watched.alice, None)
    watched.m.poke(watched.m.alice, 528, b"\1")
    assert [f.rule for f in watched.says(RESTORE.function, watched.alice).findings] == ["SIGREST"]


def test_a_fault_is_told_at_once():
    watched = Watched(M510())
    probe = PROBES["ex_handler_fprestore"]
    said = watched.watch.fault(probe, 8, watched.alice)
    assert (said.hit, said.function, said.task) == (8, probe.function, watched.alice)
    assert [f.rule for f in said.findings] == ["RESTOREGP"]
    assert watched.watch.leave(probe.function, watched.alice) is None


def test_what_cannot_be_read_at_the_return_is_undecided():
    watched = Watched(M66())
    watched.watch.enter(PROBES["fpu_clone"], 1, watched.bob, watched.alice, None)
    watched.m.in_fpu(watched.m.bob, 16, 0xFFFFFFFF00000000)
    said = watched.says("fpu_clone", watched.alice)
    assert said.findings == ()
    (one,) = said.undecided
    assert (one.rule, one.subject) == ("READ", "bob (pid 11)")
    assert one.why.startswith("not read: ")


def test_what_cannot_be_read_at_the_entry_is_a_fault():
    """Tracer and session count it by reason."""
    watched = Watched(M66())
    watched.m.in_fpu(watched.m.bob, 16, 0xFFFFFFFF00000000)
    with pytest.raises(MemoryFault):
        watched.watch.enter(CLEAN, 1, watched.bob, watched.alice, None)


# --- frames


class Signal(Watched):
    """A call that writes a signal frame: alice's, at STACK, from registers or from memory."""

    def __init__(self, m, *, ia32=False, loaded=False):
        self.base = 112 if ia32 else 0
        if isinstance(m, M44):
            m.in_fpu(m.alice, 5, loaded, 1)
            parts, size, mask, used = {}, 832, 7, 7
        elif isinstance(m, M66):
            parts, size, mask, used = (
                {2688: DEFAULT_PKRU.to_bytes(4, "little")},
                2816,
                0x20207,
                0x207,
            )
        else:
            parts, size, mask, used = {2688: DEFAULT_PKRU.to_bytes(4, "little")}, 2696, 0x207, 0x207
        if isinstance(m, M510):
            m.tif(m.alice, not loaded)
        parts[576] = pattern("alice", "AVX", 256)
        self.image = frame(size, mask, used, parts, ia32=ia32)
        self.size = len(self.image)
        m.target.put(STACK, bytes(self.size) + b"\x5a" * 64)
        m.target.registers.update(rdi=STACK, rdx=0xABCD00000000 | self.size, rax=0)
        super().__init__(m)

    def enter(self):
        self.watch.enter(SAVE, 1, self.alice, self.alice, live_on(self.m))

    def write(self, offset=0, data=None):
        self.m.target.put(STACK + offset, bytes(self.image if data is None else data))

    def leave(self):
        return self.watch.leave(SAVE.function, self.alice)

    def rules(self):
        return [(f.rule, f.component, f.address - STACK) for f in self.leave().findings]


@pytest.mark.parametrize("machine", [M44, M510, M66, M49])
@pytest.mark.parametrize("ia32", [False, True])
def test_a_frame_that_is_what_it_should_be(machine, ia32):
    m = machine()
    signal = Signal(m, ia32=ia32)
    if machine is M66:
        m.target.registers["rax"] = 1  # a bool since 5.16
    signal.enter()
    signal.write()
    assert signal.rules() == []


@pytest.mark.parametrize("ia32", [False, True])
def test_a_frame_compared_with_what_memory_had(ia32):
    signal = Signal(M44(), ia32=ia32)
    base = signal.base
    signal.enter()
    signal.image[base + 600] ^= 1
    signal.write()
    assert signal.rules() == [("FRAMEDIFF", "AVX", base + 576)]
    signal.m.poke(signal.m.alice, 600, signal.image[base + 600 : base + 601])
    assert signal.rules() == [("FRAMEDIFF", "AVX", base + 576)]  # memory at entry counts


def test_a_frame_compared_with_the_registers_of_the_cpu():
    for place, name, component in ((224, "xmm4", "SSE"), (32, "st0", "x87")):
        signal = Signal(M44(), loaded=True)
        signal.m.target.fpu[0] = {
            "xmm4": bytes(signal.image[224:240]),
            "st0": bytes(signal.image[32:42]),
        }
        signal.enter()
        signal.write()
        said = signal.leave()
        assert (said.findings, said.undecided) == ((), ())
        signal.m.target.fpu[0][name] = b"\xee" * len(signal.m.target.fpu[0][name])
        signal.enter()
        assert signal.rules() == [("FRAMEDIFF", component, place)]


def test_registers_that_the_stub_does_not_show_leave_it_undecided():
    """Memory has an older state then: it is not compared."""
    signal = Signal(M44(), loaded=True)
    signal.enter()
    signal.image[600] ^= 1
    signal.write()
    said = signal.leave()
    assert said.findings == ()
    assert [(one.rule, one.subject, one.why) for one in said.undecided] == [
        (
            "FRAMEDIFF",
            "alice (pid 10)",
            "the registers were in the CPU, and this stub does not show them",
        )
    ]


@pytest.mark.parametrize("machine", [M66, M49])
def test_a_frame_compared_with_a_compacted_area(machine):
    """A frame is always in the standard format; PKRU lies at 832 in the area, 2688 in the frame."""
    m = machine()
    signal = Signal(m)
    m.target.registers["rax"] = machine is M66
    if machine is M66:
        m.tif(m.alice, True)
    else:
        m.in_fpu(m.alice, 5, 0, 1)
    signal.enter()
    signal.write()
    said = signal.leave()
    assert (said.findings, said.undecided) == ((), ())
    signal.image[600] ^= 1
    signal.image[2688] ^= 1
    signal.write()
    found = [("FRAMEDIFF", "AVX", 576), ("FRAMEDIFF", "PKRU", 2688)]
    assert signal.rules() == (found if machine is M49 else found[:1])


def test_pkru_of_a_frame_is_not_the_areas_where_thread_pkru_has_it():
    """954436989cc5 (5.14): its place in the area has what it once was."""
    m = M517()
    signal = Signal(m)
    m.target.registers["rax"] = 1
    m.tif(m.alice, True)
    m.poke(m.alice, 2688, b"\1\2\3\4")
    signal.enter()
    signal.write()
    said = signal.leave()
    assert (said.findings, said.undecided) == ((), ())


def test_a_frame_that_cannot_be_read_of_registers_that_cannot_either():
    signal = Signal(M44(), loaded=True)
    signal.enter()
    del signal.m.target.ranges[STACK]
    assert [one.rule for one in signal.leave().undecided] == ["FRAME"]


def test_bytes_behind_the_frame():
    signal = Signal(M44())
    signal.enter()
    signal.write()
    signal.write(signal.size, b"\x5a\x5a\1\2")
    signal.write(signal.size + 63, b"\0")
    said = signal.leave()
    assert [(f.rule, f.address) for f in said.findings] == [("FRAMEPAST", STACK + signal.size + 2)]
    assert said.findings[0].read.startswith("3 bytes after the frame changed, ")


def test_a_frame_at_the_end_of_the_stack():
    """What is behind it is not mapped: nothing to compare."""
    signal = Signal(M44())
    del signal.m.target.ranges[STACK]
    signal.m.target.put(STACK, bytes(signal.size))
    signal.enter()
    signal.write()
    assert signal.rules() == []


def test_a_frame_that_cannot_be_read():
    signal = Signal(M44())
    signal.enter()
    del signal.m.target.ranges[STACK]
    said = signal.leave()
    assert said.findings == ()
    told = [(one.rule, one.subject, one.why) for one in said.undecided]
    why = "not read: neither the stub nor the task's page tables give access"
    assert told == [("FRAME", "alice (pid 10)", why)]


def test_stale_bytes_that_reach_the_user():
    signal = Signal(M44())
    signal.m.xfeatures(signal.m.alice, 3)
    signal.enter()
    signal.image[512] = 3
    signal.write()
    assert signal.rules() == [("FRAMESTALE", "AVX", 576)]


def test_the_gaps_of_a_frame_are_not_read():
    """832 to 2687 is nobody's: every byte costs on the wire, and so does every packet."""
    signal = Signal(M510())
    signal.enter()
    signal.write()
    signal.m.target.reads.clear()
    assert signal.rules() == []
    inside = [(at - STACK, n) for at, n in signal.m.target.reads if STACK <= at < STACK + 2700]
    assert inside == [(0, 832), (2688, 12 + 64)]  # the bytes after the frame are read along


def test_a_frame_of_a_size_that_tells_nothing_is_read_whole():
    signal = Signal(M510())
    signal.m.target.registers["rdx"] = 2000
    signal.enter()
    signal.write()
    signal.m.target.reads.clear()
    said = signal.leave()
    inside = [(at - STACK, n) for at, n in signal.m.target.reads if STACK <= at < STACK + 2700]
    assert inside[0] == (0, 2000 + 64)
    assert {f.rule for f in said.findings} == {"FRAME"}


@pytest.mark.parametrize("size", [0, 1, 511, 576, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_frame_of_an_absurd_size(size):
    signal = Signal(M44())
    signal.m.target.registers["rdx"] = size
    signal.m.target.reads.clear()
    signal.enter()
    signal.write()
    said = signal.leave()
    assert said is not None
    lengths = [n for at, n in signal.m.target.reads if not at >> 63]
    assert max(lengths) <= MAX_IMAGE


# --- whether the frame was written at all


@pytest.mark.parametrize(
    ("machine", "rax", "failed"),
    [
        (M44, 0, False),
        (M44, 0xFFFFFFFF, True),
        (M44, 1, True),
        (M44, 0xFFFFFFFFFFFFFFF2, True),
        (M44, 0xFFFFFFFF00000000, False),  # an int: the upper half is anything
        (M44, None, False),
        (M510, 0, False),
        (M510, 0xFFFFFFF2, True),
        (M66, 1, False),
        (M66, 0, True),
        (M66, 0xFFFFFF00, True),  # a bool: one byte
        (M66, 0xFFFFFF01, False),
        (M517, 1, False),
        (M517, 0, True),
    ],
)
def test_a_function_that_failed_is_not_audited(machine, rax, failed):
    signal = Signal(machine())
    if rax is None:
        del signal.m.target.registers["rax"]
    else:
        signal.m.target.registers["rax"] = rax
    signal.enter()
    signal.write(signal.size, b"\1")  # what FRAMEPAST would tell
    said = signal.leave()
    assert said.hit == 1
    assert bool(said.findings) is not failed
