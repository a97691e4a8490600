# SPDX-License-Identifier: GPL-2.0-or-later
"""Which rules are followed for whom, and what becomes of what cannot be read."""

from __future__ import annotations

import pytest
from audit_machines import (
    AMX,
    ELSEWHERE,
    ERAS,
    FPSTATE_AT,
    M44,
    M49,
    M66,
    M310,
    M510,
    SYMBOLS,
    XFEATURES,
)
from fake_kernel import TASKS

from gdbfpu.audit.engine import Audit, audit, sort
from gdbfpu.audit.finding import Finding, Severity, Undecided
from gdbfpu.audit.rule import Scope
from gdbfpu.audit.rules import BLIND_SPOTS, RULES, rules_of
from gdbfpu.audit.text import audit_table, summary
from gdbfpu.text.screen import PLAIN

NOWHERE = 0xFFFFFFFF00000000
UNSEEN = ("MODOPT", "CORE")


@pytest.mark.parametrize("machine", ERAS)
def test_a_machine_in_order_is_clean_and_says_what_is_not_decidable(machine):
    said = machine().whole()
    assert said.findings == ()
    assert said.tasks == 3
    assert said.verdict == "clean"
    told = tuple(one.rule for one in said.undecided)
    cpu = ("XFD1", "MSR") if issubclass(machine, M66) else ("MSR",)
    assert told == (*UNSEEN, "MICROARCH", *cpu, *cpu)  # these kernels know none of the leaks
    words = f"fpu-audit: clean: 0 errors, 0 warnings, 0 notes in 3 tasks; {len(told)} not decidable"
    assert summary(said) == words
    assert audit_table(said, False, PLAIN).splitlines()[-1] == words


def test_what_is_never_decidable_is_told_of_one_task_too():
    m = M44()
    said = m.whole(m.bob)
    assert [(one.rule, one.subject) for one in said.undecided] == [
        (rule, "every CPU") for rule in UNSEEN
    ]
    assert tuple(rule for rule, _ in BLIND_SPOTS) == UNSEEN
    text = audit_table(said, False, PLAIN)
    assert "What memory alone cannot tell:\n  MODOPT: every CPU: only a trace" in text
    assert summary(said).endswith("in 1 task; 2 not decidable")


def test_notes_are_no_findings_to_a_script():
    m = M510()
    m.xfeatures(m.bob, 0x203)
    said = m.whole()
    assert said.verdict == "notes"
    words = "fpu-audit: notes: 0 errors, 0 warnings, 1 note in 3 tasks; 5 not decidable"
    assert summary(said) == words
    m.xfeatures(m.carol, 3)  # PKRU's bit too: a warning, and its bytes another note
    said = m.whole()
    assert said.verdict == "findings"
    words = "fpu-audit: findings: 0 errors, 1 warning, 3 notes in 3 tasks; 5 not decidable"
    assert summary(said) == words
    m.poke(m.bob, 528, b"\1")
    said = m.whole()
    assert summary(said).startswith("fpu-audit: findings: 1 error, 1 warning, 3 notes in 3")
    assert [finding.severity.value for finding in said.findings] == [
        *("error", "warning"),
        *["note"] * 3,
    ]


def finding(severity, number):
    return Finding("STALE", Severity(severity), "x", "", number, "")


def test_worst_first_and_in_their_order_otherwise():
    mixed = [finding(s, i) for i, s in enumerate(("note", "error", "warning", "note", "error"))]
    assert [one.address for one in sort(mixed)] == [1, 4, 2, 0, 3]


@pytest.mark.parametrize(
    ("severities", "verdict"),
    [
        ([], "clean"),
        (["note"], "notes"),
        (["note", "warning"], "findings"),
        (["error"], "findings"),
    ],
)
def test_verdict(severities, verdict):
    found = tuple(finding(severity, 0) for severity in severities)
    said = Audit("kernel", 1, found, ())
    assert said.verdict == verdict
    assert said.count(Severity.NOTE) == severities.count("note")


# --- what cannot be read


def undecided(said):
    usual = (*UNSEEN, "MICROARCH", "MSR", "XFD1")
    return [(one.rule, one.subject, one.why) for one in said.undecided if one.rule not in usual]


def test_a_task_that_cannot_be_read_is_not_clean():
    m = M66()
    m.in_fpu(m.bob, FPSTATE_AT, NOWHERE)
    m.poke(m.carol, 528, b"\1")
    said = m.whole()
    assert [(rule, subject) for rule, subject, _ in undecided(said)] == [("READ", "bob (pid 11)")]
    assert undecided(said)[0][2].startswith("not read: cannot read ")
    assert said.tasks == 3
    assert [one.subject for one in said.findings] == ["carol (pid 12)"]  # who comes after it


def test_a_task_that_runs_and_cannot_be_read():
    m = M66()
    m.in_fpu(m.alice, FPSTATE_AT, NOWHERE)
    told = [(rule, subject) for rule, subject, _ in undecided(m.whole())]
    assert told == [("TWICE", "the kernel"), ("READ", "CPU 0"), ("READ", "alice (pid 10)")]


def test_a_rule_that_cannot_read_leaves_the_others():
    m = M44()
    m.target.symbols["mxcsr_feature_mask"] = NOWHERE
    m.poke(m.bob, 528, b"\1")
    said = m.whole()
    assert [(one.rule, one.subject) for one in said.findings] == [("XCOMP", "bob (pid 11)")]
    why = f"not read: cannot read 4 bytes at {NOWHERE:#x}"
    people = ("alice (pid 10)", "bob (pid 11)", "carol (pid 12)")
    assert undecided(said) == [("MXCSR", who, why) for who in people]


def test_what_a_rule_cannot_read_makes_an_audit_incomplete():
    m = M44()
    m.target.symbols["mxcsr_feature_mask"] = NOWHERE
    said = m.whole()
    assert (said.findings, said.verdict) == ((), "incomplete")
    assert summary(said).startswith("fpu-audit: incomplete: ")


def test_a_walk_that_ends_early_is_told():
    m = M44()
    m.target.put_int(m.bob + TASKS, m.alice + TASKS)
    m.poke(m.alice, 528, b"\1")
    said = m.whole()
    assert undecided(said)[-1][:2] == ("WALK", "the tasks")
    assert undecided(said)[-1][2].startswith("the walk ended early: the task list loops at ")
    assert said.tasks == 2
    assert [one.rule for one in said.findings] == ["XCOMP"]


def test_whose_stale_bytes_are_is_asked_of_those_who_can_be_read():
    m = M66()
    m.xfeatures(m.alice, 0x203)
    m.in_fpu(m.carol, FPSTATE_AT, NOWHERE)
    said = m.whole()
    assert [(one.rule, one.subject) for one in said.findings] == [("STALE", "alice (pid 10)")]


def test_who_cannot_be_read_hides_no_other_owner():
    m = M66()
    m.xfeatures(m.alice, 0x203)
    m.poke(m.alice, 576, m.peek(m.carol, 576, 256))
    m.in_fpu(m.bob, FPSTATE_AT, NOWHERE)  # who comes between them
    (found,) = m.whole().findings
    assert found.read.endswith("; 256 bytes equal AVX of carol (pid 12)")


def test_a_walk_that_ends_early_still_has_those_before():
    m = M44()
    m.xfeatures(m.carol, 3)
    m.poke(m.carol, 576, m.peek(m.bob, 576, 256))
    assert m.audit(m.carol)[0].read.endswith("; 256 bytes equal AVX of bob (pid 11)")
    m.target.put_int(m.carol + TASKS, 0xDEAD000000000000)
    assert m.audit(m.carol)[0].read.endswith("; 256 bytes equal AVX of bob (pid 11)")


def test_kernel_without_an_initial_image():
    m = M44()
    m.forget("init_fpstate")
    assert m.audit() == ()
    told = undecided(m.whole())
    assert told == [("INITBUF", "the kernel", "the kernel has no image of the initial state")]


def test_xfd_is_undecided_for_each_cpu_that_has_it():
    m = M66()
    m.xfeatures(m.bob, 0x207)
    told = [(one.subject, one.why) for one in m.whole().undecided if one.rule == "XFD1"]
    why = "IA32_XFD itself is not in memory"
    assert told == [("CPU 0", why), ("CPU 1", why)]
    m.forget("xfd_state")
    assert not [one for one in m.whole().undecided if one.rule == "XFD1"]


def test_without_dynamic_features_there_is_nothing_to_say_of_xfd():
    class NoAmx(M66):
        mask = M66.mask & ~AMX

    m = NoAmx()
    m.target.put_int(m.in_cpu("xfd_state", 0), 5)
    assert not [one for one in m.whole().undecided if one.rule == "XFD1"]
    assert m.audit() == ()


# --- for whom


def test_of_one_task_only_what_concerns_it():
    m = M510()
    m.target.put(SYMBOLS["init_fpstate"], bytes(2))  # the kernel's
    m.target.put_int(m.in_cpu("fpu_fpregs_owner_ctx", 0), 0)  # of the CPU that runs alice
    m.poke(m.carol, 528, b"\1")
    assert {one.rule for one in m.audit()} == {"INITBUF", "OWNER", "XCOMP"}
    assert [one.rule for one in m.audit(m.alice)] == ["OWNER"]
    assert [one.rule for one in m.audit(m.carol)] == ["XCOMP"]
    assert m.audit(m.bob) == ()


def test_progress_counts_tasks():
    m, seen = M44(), []
    said = audit(m.snapshot(), None, seen.append)
    assert seen == [1, 2, 3]
    assert said.kernel == m.snapshot().model.kernel.banner()


def test_scopes():
    assert all(rules_of(scope) for scope in Scope)
    assert {rule.name for scope in Scope for rule in rules_of(scope)} == {r.name for r in RULES}
    names = ["INITBUF", "TWICE", "UABI", "MICROARCH"]
    assert [rule.name for rule in rules_of(Scope.KERNEL)] == names
    names = ["OWNER", "LAZYFP", "KERNFPU", "XFD1", "MSR"]
    assert [rule.name for rule in rules_of(Scope.CPU)] == names


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_describes_itself(rule):
    assert rule.invariant.endswith(".")
    assert rule.page == f"docs/audit/{rule.name}.md"


def test_memory_is_read_once_an_audit():
    """A task's area is one read on the wire, however many rules look at it."""
    m = M44()
    m.xfeatures(m.bob, 3)
    m.target.reads.clear()
    m.whole()
    for task in (m.alice, m.bob, m.carol):
        place = m.at(task)
        assert sum(1 for at, length in m.target.reads if at <= place < at + length) == 1


def test_an_audit_reads_no_gaps():
    m = M510()
    m.target.reads.clear()
    m.whole()
    for task in (m.alice, m.bob, m.carol):
        gap = m.at(task) + 900
        assert not [read for read in m.target.reads if read[0] <= gap < read[0] + read[1]]


def test_a_kernel_without_a_mask_of_mxcsr_has_the_areas_or_the_sdms():
    """The CPU saves its own beside MXCSR; 0 stands for 0xffbf, which has no DAZ (bit 6)."""
    m = M44()
    m.forget("mxcsr_feature_mask")
    assert m.snapshot().mxcsr_mask == 0
    for saved, found in ((0, ["MXCSR"]), (0xFFBF, ["MXCSR"]), (0xFFFF, [])):
        m.poke(m.bob, 24, (0x1FC0).to_bytes(4, "little"))
        m.poke(m.bob, 28, saved.to_bytes(4, "little"))
        assert [f.rule for f in m.audit()] == found
        m.poke(m.bob, 24, (0x1F80).to_bytes(4, "little"))
        assert m.audit() == ()


def test_gaps_are_read_where_they_are_asked_for():
    """A standard image with a hole: BNDREGS' place, 832 to 1087, is nobody's."""
    m = M510()
    m.poke(m.bob, 1000, b"\7")
    for gaps in (False, True):
        snapshot = m.snapshot(gaps=gaps)
        view = snapshot.view(m.task(m.bob))
        assert len(view.image) == 2696
        assert view.image[1000] == 7 * gaps
        assert view.image[576:832] == m.peek(m.bob, 576, 256)
        assert view.image[2688:2692] == m.peek(m.bob, 2688, 4)


def test_a_view_of_a_task_has_what_its_kernel_has():
    m = M66()
    snapshot = m.snapshot()
    view = snapshot.view(m.task(m.carol))
    assert view.fields == {
        "last_cpu": 0,
        "perm": 0x60A07,
        "__task_fpstate": 0,
        "fpstate.size": 9152,
        "fpstate.user_size": 2816,
        "fpstate.xfeatures": 0x60A07,
        "fpstate.user_xfeatures": 0x60207,
        "fpstate.xfd": 0,
        "fpstate.is_valloc": 1,
        "fpstate.is_guest": 0,
        "fpstate.in_use": 0,
    }
    assert (view.fpu, view.at, view.cpu, view.loaded) == (
        m.fpu(m.carol),
        ELSEWHERE + 0x100000 + 64,
        None,
        False,
    )
    running = snapshot.view(m.task(m.alice))
    assert (running.cpu, running.loaded) == (0, True)
    m.fpstate(m.carol, 32, 2 | 4, 4)  # is_guest, is_confidential: bits 1 and 2
    fields = m.snapshot().view(m.task(m.carol)).fields
    bits = ("fpstate.is_valloc", "fpstate.is_guest", "fpstate.in_use")
    assert [fields[name] for name in bits] == [0, 1, 0]
    m.fpstate(m.carol, 32, 8 | 4, 4)  # in_use, is_confidential: bits 3 and 2
    fields = m.snapshot().view(m.task(m.carol)).fields
    assert (fields["fpstate.is_valloc"], fields["fpstate.in_use"]) == (0, 1)
    assert M49().snapshot().view(M49().task(M49().bob)).fields == {
        "last_cpu": 0,
        "fpstate_active": 1,
        "fpregs_active": 0,
    }
    assert M310().snapshot().view(M310().task(M310().alice)).fields == {"last_cpu": 0, "has_fpu": 1}


@pytest.mark.parametrize(("machine", "expected"), [(M44, 7), (M510, 0x207), (M66, 0x60A07)])
def test_mask(machine, expected):
    assert machine().snapshot().mask == expected


def test_of_a_cpu():
    m = M66()
    cpus = m.snapshot().cpus()
    assert [(c.number, c.current, c.owner.address, c.kernel_use) for c in cpus] == [
        (0, m.alice, m.fpu(m.alice), ""),
        (1, m.idle, m.fpu(m.bob), ""),
    ]
    assert [c.owner.task for c in cpus] == [m.alice, m.bob]
    assert cpus[0].view.task.pid == 10
    assert cpus[1].view is None
    m.target.put_int(m.in_cpu("in_kernel_fpu", 0), 1, 1)
    cpu = m.snapshot().cpu(0)
    assert (cpu.kernel_use, cpu.view.loaded) == ("in_kernel_fpu", False)
    m.forget("fpu_fpregs_owner_ctx")
    assert m.snapshot().cpu(0).owner is None
    m.target.put_int(m.in_cpu("in_kernel_fpu", 0), 0, 1)
    assert m.audit() == ()


def test_undecided_of_the_wrong_kind_are_no_findings():
    m = M66()
    results = m.apply("task", m.bob)
    assert results == []
    assert [type(one) for one in m.whole().undecided] == [Undecided] * 7
    m.fpstate(m.bob, XFEATURES, 0)
    assert {one.rule for one in m.apply("task", m.bob)} == {"XCOMP2", "AMXBUF"}
