# SPDX-License-Identifier: GPL-2.0-or-later
"""What is planted is found by its rule, memory is as before afterwards, and refusals say why."""

from __future__ import annotations

import re

import pytest
from audit_machines import (
    BITS,
    ERAS,
    M44,
    M49,
    M66,
    M310,
    M510,
    M517,
    M616,
    SIZE,
    SYMBOLS,
    M41Xsaves,
    M44Eager,
    frame,
    pattern,
)
from fake_kernel import CPU_OFFSETS

from gdbfpu.audit.engine import Audit
from gdbfpu.audit.inject import FRAME_WRITES, WRITES, Write, frame_writes, planted, writes_for
from gdbfpu.audit.rules import RULES
from gdbfpu.commands import audit as answer
from gdbfpu.commands.audit import run_audit, run_frame_audit, run_injected_audit
from gdbfpu.commands.audit_options import audit_parser
from gdbfpu.errors import MemoryFault, UsageError

STACK = 0x7FFD5C965140
PARSER = audit_parser()


def memory(m):
    return {start: bytes(data) for start, data in m.target.ranges.items()}


def run(m, *words):
    arguments = PARSER.parse(list(words))
    if arguments.inject:
        return run_injected_audit(m.snapshot().model, arguments, lambda count: None, m.target)
    return run_audit(m.snapshot().model, arguments, lambda count: None)


def amd(machine):
    """The machine with CPUs that leave x87 pointers alone."""
    m = machine()
    m.target.put_int(SYMBOLS["boot_cpu_data"] + 1, 2, 1)
    return m


def never_sanitized():
    """4.1 with a standard image."""
    m = M310()
    for task in (m.alice, m.bob, m.carol):
        m.poke(task, 520, bytes(8))
    return m


CASES = {
    "STALE": ("bob", M44, M44Eager, M310, M49, M510, M517, M66, M616),
    "XCOMP": ("bob", M44, M310, M49, M510, M66),
    "XCOMP2": ("bob", M49, M66, M616),
    "SUPV": ("bob", M44, M510, M517),
    "SIZE": ("bob", M66, M517, M616),
    "SANOFF": ("bob", never_sanitized),
    "MXCSR": ("bob", M44, M310, M510, M66),
    "AMDFIP": ("bob", *[lambda machine=machine: amd(machine) for machine in (M44, M510, M66)]),
    "INITBUF": ("alice", *ERAS),
    "FLAGS": ("bob", M44, M49),
    "OWNER": ("alice", M310, M44, M49, M510, M66, M616),
    "TWICE": ("alice", *ERAS),
    "KERNFPU": ("alice", M510, M66, M616),
    "PERM": ("bob", M66, M517, M616),
    "AMXBUF": ("bob", M66, M517, M616),
    "XFD3": ("bob", M66, M517, M616),
    "GUEST": ("bob", M66, M517, M616),
    "PKRU0": ("bob", M510),
}
_NO_PKRU = "PKRU is in thread.pkru, or the kernel does not support protection keys"
WHOLE = ("INITBUF", "TWICE")
"""Rules on the kernel, which an audit of one task does not apply."""


@pytest.mark.parametrize("rule", WRITES)
def test_what_is_planted_is_found_and_taken_back(rule):
    victim, *machines = CASES[rule]
    for machine in machines:
        m = machine()
        before = memory(m)
        words = [str({"alice": 10, "bob": 11}[victim])]
        said = run(m, *words, "--inject", rule, "--laboratory")
        assert rule in {finding.rule for finding in said.findings}, machine
        if rule not in WHOLE:
            named = {f.subject.split(" ")[0] for f in said.findings if f.rule == rule}
            assert named == {victim}
        assert memory(m) == before, machine
        assert m.target.writes, machine
        assert run(m, "--all").findings == (), machine


def test_every_write_belongs_to_a_rule():
    rules = {rule.name for rule in RULES}
    assert set(WRITES) <= rules
    assert set(FRAME_WRITES) <= rules
    assert set(CASES) == set(WRITES)


def test_of_all_tasks_only_the_named_one_is_the_victim():
    m = M44()
    said = run(m, "11", "--inject", "MXCSR", "--laboratory")
    assert [(f.rule, f.subject) for f in said.findings] == [("MXCSR", "bob (pid 11)")]
    assert said.tasks == 3


def test_without_laboratory_nothing_is_written():
    m = M44()
    with pytest.raises(UsageError) as refused:
        run(m, "11", "--inject", "STALE")
    assert str(refused.value) == (
        "--inject writes to the running kernel's memory: add --laboratory if this is a "
        "laboratory machine"
    )
    assert m.target.writes == []
    image = bytes(frame(832, 7, 7, {}))
    m.target.put(STACK, image)
    arguments = PARSER.parse(["--sigframe", hex(STACK), "--inject", "FRAME"])
    with pytest.raises(UsageError, match="add --laboratory"):
        run_frame_audit(m.snapshot().model, arguments, STACK, m.target)
    assert m.target.writes == []


def test_laboratory_alone_writes_nothing():
    m = M44()
    assert run(m, "--all", "--laboratory").findings == ()
    assert m.target.writes == []


def test_memory_is_put_back_when_the_audit_raises(monkeypatch):
    m = M44()
    before = memory(m)

    def broken(*_):
        assert memory(m) != before
        raise KeyboardInterrupt

    monkeypatch.setattr(answer, "audit", broken)
    with pytest.raises(KeyboardInterrupt):
        run(m, "11", "--inject", "STALE", "--laboratory")
    assert memory(m) == before
    assert len(m.target.writes) == 4


def test_memory_is_put_back_where_only_a_part_could_be_written():
    m = M44()
    before = memory(m)
    place = m.at(m.bob)
    writes = (Write(place, b"\xaa"), Write(place, b"\xbb"), Write(0xFFFFFFFF00000000, b"\1"))
    with pytest.raises(MemoryFault), planted(m.target, writes):
        raise AssertionError("it was not planted")
    assert memory(m) == before


def test_writes_over_one_another_are_undone_in_reverse():
    m = M44()
    place = m.at(m.bob)
    was = m.peek(m.bob, 0, 4)
    with planted(m.target, (Write(place, b"\xaa" * 4), Write(place + 1, b"\xbb"))):
        assert m.peek(m.bob, 0, 4) == b"\xaa\xbb\xaa\xaa"
    assert m.peek(m.bob, 0, 4) == was


# --- refusals


def refusal(m, rule, task):
    snapshot = m.snapshot()
    with pytest.raises(UsageError) as refused:
        writes_for(snapshot, rule, snapshot.view(m.task(task)))
    return str(refused.value)


def test_a_rule_of_which_nothing_can_be_planted():
    m = M44()
    told = refusal(m, "SSP", m.bob)
    assert told == f"cannot plant a defect for 'SSP'; choose one of: {', '.join(WRITES)}"
    assert refusal(m, "", m.bob).startswith("cannot plant a defect for ''")


def test_a_task_without_an_area():
    m = M41Xsaves()
    told = refusal(m, "MXCSR", m.bob)
    assert told == "the task has no FPU state in memory to plant a defect in"


NO_SIZE = "no member says how large the area is, or nothing above SSE is in use"
NOT_HERE = "cannot plant this defect here: "


def not_lazy(machine):
    m = machine()
    m.forget("fpu_fpregs_owner_ctx", "in_kernel_fpu", "init_fpstate")
    return m


def one_cpu():
    m = M44()
    m.put("__cpu_online_mask", 1)
    return m


def fxsave():
    m = M44()
    m.put("xfeatures_mask", 0)
    m.target.put_int(SYMBOLS["xstate_size"], 512, 4)
    return m


@pytest.mark.parametrize(
    ("rule", "machine", "victim", "why"),
    [
        ("STALE", fxsave, "bob", "the kernel does not save component 2"),
        ("XCOMP", fxsave, "bob", "the kernel saves with FXSAVE, which has no header"),
        ("XCOMP2", M44, "bob", "the kernel saves in the standard format"),
        ("SUPV", M66, "bob", "a compacted area may have supervisor components"),
        ("SIZE", M44, "bob", NO_SIZE),
        ("SANOFF", M44, "bob", "the kernel does not sanitize at standard offsets"),
        ("INITBUF", lambda: not_lazy(M44), "bob", "the kernel has no init_fpstate"),
        ("FLAGS", M44, "alice", "the task is running: choose one that sleeps"),
        ("FLAGS", M510, "bob", "struct fpu has no fpregs_active"),
        (
            "OWNER",
            M44,
            "bob",
            "no CPU holds the task's registers: stop the kernel while the task runs",
        ),
        ("OWNER", lambda: not_lazy(M44), "alice", "the kernel has no fpu_fpregs_owner_ctx"),
        ("TWICE", M44, "bob", "no CPU runs the task, or there is no second CPU"),
        ("TWICE", one_cpu, "alice", "no CPU runs the task, or there is no second CPU"),
        (
            "KERNFPU",
            M510,
            "bob",
            "no CPU holds the task's registers: stop the kernel while the task runs",
        ),
        ("KERNFPU", lambda: not_lazy(M510), "alice", "the kernel has no in_kernel_fpu"),
        ("PERM", M44, "bob", "struct fpstate has no user_xfeatures"),
        ("AMXBUF", M510, "bob", "struct fpstate has no is_valloc"),
        ("GUEST", M510, "bob", "struct fpu has no __task_fpstate"),
        ("XFD3", M510, "bob", "struct fpstate has no xfd"),
        ("PKRU0", M66, "bob", _NO_PKRU),
        ("PKRU0", M44, "bob", _NO_PKRU),
        ("AMDFIP", M44, "bob", "these CPUs always save the x87 pointers"),
        ("KERNFPU", M44, "alice", "the kernel has no TIF_NEED_FPU_LOAD"),
    ],
)
def test_a_refusal_says_why(rule, machine, victim, why):
    m = machine()
    assert refusal(m, rule, getattr(m, victim)) == NOT_HERE + why
    assert m.target.writes == []


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("SIZE", NO_SIZE),
        ("XFD3", "the task has nothing above SSE in use"),
    ],
)
def test_a_task_that_uses_too_little(rule, why):
    m = M66()
    m.xfeatures(m.bob, 3)
    assert refusal(m, rule, m.bob) == NOT_HERE + why
    m.xfeatures(m.bob, 7)
    snapshot = m.snapshot()
    assert writes_for(snapshot, rule, snapshot.view(m.task(m.bob)))


def test_a_task_that_runs_without_its_registers():
    """TIF_NEED_FPU_LOAD is set: no CPU has them."""
    m = M510()
    m.tif(m.alice, True)
    for rule in ("OWNER", "KERNFPU"):
        why = "no CPU holds the task's registers: stop the kernel while the task runs"
        assert refusal(m, rule, m.alice) == NOT_HERE + why


# --- what exactly is written


def written(m, rule, task):
    snapshot = m.snapshot()
    return [(w.address, w.data) for w in writes_for(snapshot, rule, snapshot.view(m.task(task)))]


def test_places():
    m = M44()
    at = m.at(m.bob)
    stale = written(m, "STALE", m.bob)
    assert stale == [(at + 512, b"\3" + bytes(7)), (at + 576, b"\xa5\x5a\xc3\x3c" * 64)]
    assert written(m, "XCOMP", m.bob) == [(at + 520, b"\7\0\0\0\0\0\0\x80")]
    assert written(m, "MXCSR", m.bob) == [(at + 24, b"\x80\x1f\0\x80")]
    assert written(amd(M44), "AMDFIP", m.bob) == [(at + 8, b"\x78\x56\x34\x12" + b"\xff" * 4)]
    assert written(m, "SUPV", m.bob) == [(at + 512, b"\7\10" + bytes(6))]
    assert written(m, "FLAGS", m.bob) == [(m.fpu(m.bob) + 5, b"\1")]
    assert written(m, "INITBUF", m.bob) == [(SYMBOLS["init_fpstate"], bytes(2))]
    m = M510()
    at = m.at(m.bob)
    assert written(m, "PKRU0", m.bob) == [(at + 512, b"\7" + bytes(7)), (at + 2688, bytes(4))]
    m = M66()
    own = m.at(m.bob) - 64
    assert written(m, "XCOMP", m.bob) == [(own + 64 + 528, b"\1")]
    assert written(m, "GUEST", m.bob) == [(m.fpu(m.bob) + 24, own.to_bytes(8, "little"))]
    at = m.at(m.bob)
    assert written(m, "XCOMP2", m.bob) == [(at + 527, b"\0")]
    assert written(m, "SIZE", m.bob) == [(at - 64 + SIZE, (576).to_bytes(4, "little"))]
    assert written(m, "AMXBUF", m.bob) == [(at - 64 + BITS, b"\1\0\0\0")]
    assert written(m, "TWICE", m.alice) == [
        (CPU_OFFSETS[1] + SYMBOLS["current_task"], m.alice.to_bytes(8, "little"))
    ]
    m.fpstate(m.bob, BITS, 0xE, 4)  # its other bits stay
    assert written(m, "AMXBUF", m.bob) == [(at - 64 + BITS, b"\x0f\0\0\0")]


# --- frames


def user_frame(ia32=False):
    parts = {576: pattern("alice", "AVX", 256)}
    return bytes(frame(832, 7, 7, parts, ia32=ia32))


@pytest.mark.parametrize("rule", FRAME_WRITES)
@pytest.mark.parametrize("ia32", [False, True])
def test_what_is_planted_in_a_frame_is_found_and_taken_back(rule, ia32):
    m = M44()
    m.functions("fx_sw_reserved_ia32")
    image = user_frame(ia32 or rule == "FRAME32")
    m.target.put(STACK, image)
    words = ["--sigframe", hex(STACK), "--inject", rule, "--laboratory"]
    said = run_frame_audit(m.snapshot().model, PARSER.parse(words), STACK, m.target)
    assert isinstance(said, Audit)
    assert [finding.rule for finding in said.findings] == [rule]
    assert m.target.read_memory(STACK, len(image)) == image
    assert len(m.target.writes) == 2
    clean = PARSER.parse(words[:2])
    assert run_frame_audit(m.snapshot().model, clean, STACK, m.target).findings == ()


def test_a_rule_that_no_frame_breaks():
    with pytest.raises(UsageError) as refused:
        frame_writes("OWNER", STACK, user_frame())
    assert str(refused.value) == (
        "cannot plant 'OWNER' in a frame; choose one of: FRAME, FRAME32, FRAMESTALE, SUPV"
    )


def test_places_in_a_frame():
    for ia32, base in ((False, 0), (True, 112)):
        image = user_frame(ia32)
        rules = [rule for rule in FRAME_WRITES if ia32 or rule != "FRAME32"]
        made = {rule: frame_writes(rule, STACK, image) for rule in rules}
        assert made == {
            **({"FRAME32": (Write(STACK + base + 464, bytes(4)),)} if ia32 else {}),
            "FRAME": (Write(STACK + base + 832, bytes(4)),),
            "FRAMESTALE": (Write(STACK + base + 512, b"\3"),),
            "SUPV": (Write(STACK + base + 513, b"\10"),),
        }


def test_a_frame_keeps_its_other_components():
    image = bytes(frame(2696, 0x207, 0x207, {}))
    assert frame_writes("SUPV", STACK, image) == (Write(STACK + 513, b"\x0a"),)
    assert frame_writes("FRAMESTALE", STACK, image) == (Write(STACK + 512, b"\3"),)


# --- the tasks that can be named


def test_a_kernel_thread_has_nothing_to_audit():
    m = M44()
    with pytest.raises(UsageError) as refused:
        run(m, hex(m.idle))
    assert str(refused.value) == (
        "swapper/1 (pid 0) is a kernel thread and has no FPU state: name another task or use --all"
    )


def test_by_default_it_is_the_task_that_runs():
    m = M44()
    m.poke(m.bob, 528, b"\1")
    m.poke(m.alice, 528, b"\1")
    assert [f.subject for f in run(m).findings] == ["alice (pid 10)"]
    assert [f.subject for f in run(m, "--comm", "b*").findings] == ["bob (pid 11)"]
    assert run(m, "--comm", "c*").findings == ()
    with pytest.raises(UsageError, match="no task with pid 99"):
        run(m, "99")


def test_a_frame_that_cannot_be_read_is_refused():
    m = M44()
    arguments = PARSER.parse(["--sigframe", hex(STACK)])
    with pytest.raises(Exception, match=re.escape(f"cannot read a frame at {STACK:#x} of alice")):
        run_frame_audit(m.snapshot().model, arguments, STACK, m.target)


def test_a_64_bit_frame_has_no_defect_of_a_32_bit_one():
    with pytest.raises(
        UsageError, match="cannot plant this defect here: this is the frame of a 64-bit task"
    ):
        frame_writes("FRAME32", STACK, user_frame())
