# SPDX-License-Identifier: GPL-2.0-or-later
"""Audited calls in a trace: their lines, the totals, the report; a ^C counts nothing twice."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import replace

import pytest
from audit_machines import M44, M66, M510

from gdbfpu.audit.engine import Audit
from gdbfpu.audit.finding import Finding, Severity, Undecided
from gdbfpu.audit.watch import Returned
from gdbfpu.fpu.looks import Looks
from gdbfpu.kernel.tasks import Task
from gdbfpu.probes.catalogue import CATALOGUE
from gdbfpu.report.report import Report, collect
from gdbfpu.report.text import report_csv, report_table
from gdbfpu.target import Thread
from gdbfpu.text.screen import PLAIN, Screen
from gdbfpu.trace.entries import audited
from gdbfpu.trace.event_file import EventWriter
from gdbfpu.trace.task_totals import TaskTotals
from gdbfpu.trace.totals import Totals
from gdbfpu.trace.tracer import Options, Tracer

PROBES = {probe.function: probe for probe in CATALOGUE}
CLEAN = PROBES["fpstate_sanitize_xstate"]


class Traced:
    """A Tracer with audit on over a machine, its file's lines at hand."""

    def __init__(self, m, path, **options):
        self.m = m
        self.totals = Totals()
        writer = EventWriter(path, {})
        model = m.snapshot().model
        self.tracer = Tracer(
            Looks(model), Options(**{"audit": True, **options}), self.totals, writer
        )
        self.path = path

    def current(self):
        return self.tracer.model.kernel.current()

    def recorded(self, entry):
        """Record `entry` as a breakpoint does: each step may be made twice, for a ^C."""
        if entry is not None:
            self.tracer.write(entry)
            for _ in range(2):
                self.tracer.add(entry)
        return entry

    def hit(self, probe, task=None):
        self.m.target.registers["rdi"] = self.m.fpu(task or self.m.alice)
        return self.recorded(self.tracer.hit(probe, *self.current()))

    def entered(self, caught):
        for _ in range(2):
            entry = self.tracer.entered(caught)
        return self.recorded(entry)

    def returned(self, probe):
        for _ in range(2):
            entry = self.tracer.returned(probe, self.current()[1])
        return self.recorded(entry)

    def lines(self):
        lines = [json.loads(line) for line in self.path.read_text().splitlines()]
        return [line for line in lines[1:] if "of" in line]


@pytest.fixture
def traced(tmp_path):
    traced = Traced(M44(), tmp_path / "out")
    yield traced
    traced.tracer.close()


def stale(m, task, count):
    m.xfeatures(task, 3)
    m.poke(task, 576, b"\1" * count + bytes(256 - count))


def test_a_call_from_its_entry_to_its_return(traced):
    m = traced.m
    stale(m, m.bob, 40)
    caught = traced.hit(CLEAN, m.bob)
    assert caught.record.pid == 11
    assert traced.entered(caught) is None
    assert traced.lines() == []
    stale(m, m.bob, 10)
    said = traced.returned(CLEAN).said
    assert (said.hit, said.task.pid) == (1, 11)
    (line,) = traced.lines()
    assert (line["of"], line["function"], line["pid"]) == (1, CLEAN.function, 11)
    assert (line["cleaned"], line["left"]) == ({"AVX": 30}, {"AVX": 10})
    assert [one["rule"] for one in line["findings"]] == ["SANITIZE"]
    row = traced.totals.tasks[m.bob, 11]
    assert (row.findings, row.cleaned) == ({"SANITIZE": 1}, {"AVX": 30})
    assert (traced.totals.audited, traced.totals.undecided) == (1, {})


def test_a_return_is_recorded_once(traced):
    traced.entered(traced.hit(CLEAN, traced.m.bob))
    assert traced.returned(CLEAN) is not None
    assert traced.returned(CLEAN) is None
    assert len(traced.lines()) == traced.totals.audited == 1


def test_a_fault_is_said_when_it_is_hit(tmp_path):
    traced = Traced(M510(), tmp_path / "out")
    probe = PROBES["ex_handler_fprestore"]
    for number in (1, 2):
        caught = traced.hit(probe)
        assert caught.record.seq == traced.totals.hits == number
        said = traced.entered(caught).said
        assert (said.hit, [one.rule for one in said.findings]) == (number, ["RESTOREGP"])
        assert [line["of"] for line in traced.lines()] == list(range(1, number + 1))
        assert traced.totals.audited == number
    traced.tracer.close()


def test_a_return_of_a_call_without_a_hit_says_nothing(traced):
    assert traced.returned(CLEAN) is None
    assert traced.totals.audited == 0


def test_without_audit_nothing_is_watched(tmp_path):
    traced = Traced(M510(), tmp_path / "out", audit=False)
    fault = traced.hit(PROBES["ex_handler_fprestore"])
    call = traced.hit(CLEAN)
    traced.m.target.reads.clear()
    assert traced.entered(fault) is None
    assert traced.entered(call) is None
    assert traced.m.target.reads == []
    assert traced.returned(CLEAN) is None
    assert traced.totals.audited == 0
    traced.tracer.close()


def test_the_file_may_be_full(traced):
    class Full:
        path = "out"

        def write(self, line):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    traced.entered(traced.hit(CLEAN, traced.m.bob))
    traced.tracer.close()
    traced.tracer.writer = Full()
    assert traced.returned(CLEAN) is not None
    assert traced.totals.audited == 1
    assert sum(traced.totals.errors.values()) == 1


def test_who_calls_and_of_whom(traced):
    """alice reads bob's state through ptrace."""
    m = traced.m
    stale(m, m.bob, 1)
    caught = traced.hit(CLEAN, m.bob)
    assert (caught.record.pid, caught.record.caller_pid) == (11, 10)
    traced.entered(caught)
    said = traced.returned(CLEAN).said
    assert [f.subject for f in said.findings] == ["bob (pid 11)"]
    assert (m.alice, 10) not in traced.totals.tasks


# --- totals

TASKS = [Task(0x10, 1, 1, "a", False), Task(0x20, 2, 2, "b", False)]


def found(task, rule="STALE"):
    return Finding(rule, Severity.NOTE, task, "", 0, "")


def test_what_audits_of_calls_say_adds_up():
    totals = Totals()
    a, b = TASKS
    for _ in range(2):
        said = Returned(
            1,
            "f",
            a,
            (found(a), found(a), found(b, "FORK")),
            (Undecided("READ", "a", ""), Undecided("READ", "a", ""), Undecided("FRAME", "", "")),
            {"AVX": 5},
            {"SSE": 9},
        )
        audited(said, b).add_to(totals)
    row = totals.row(a)
    assert row.findings == {"STALE": 4, "FORK": 2}
    assert row.cleaned == {"AVX": 10}
    assert totals.undecided == {"READ": 4, "FRAME": 2}
    assert totals.audited == 2
    assert (totals.hits, row.count) == (0, 0)


def test_an_audit_of_memory_made_again_adds_nothing():
    totals = Totals()
    a, b = TASKS
    audit = Audit("", 2, (found(a), found(a), found(b), found("init_fpstate")), ())
    for number in (1, 2):
        totals.take(audit)
        assert totals.row(a).findings == {"STALE": 2}
        assert totals.row(b).findings == {"STALE": 1}
        assert totals.audited == number
    assert len(totals.tasks) == 2
    totals.take(Audit("", 1, (found(a),), ()))
    assert totals.row(a).findings == {"STALE": 2}
    totals.take(Audit("", 1, (*[found(a)] * 3, found(a, "XCOMP")), ()))
    assert totals.row(a).findings == {"STALE": 3, "XCOMP": 1}


def test_rows_share_no_findings():
    assert TaskTotals(1, 1, "", 1).findings is not TaskTotals(2, 2, "", 2).findings


# --- the report


def test_the_report_of_an_audited_machine():
    m, totals = M44(), Totals()
    stale(m, m.bob, 7)
    totals.take(m.whole())
    totals.undecided["READ"] += 2
    report = collect(Looks(m.snapshot().model), totals, lambda count: None)
    assert (report.audits, report.undecided) == (1, {"READ": 2})
    data = report.to_json()
    assert (data["audits"], data["undecided"]) == (1, {"READ": 2})
    findings = {row["pid"]: row["findings"] for row in data["tasks"]}
    assert findings == {10: {}, 11: {"STALE": 1}, 12: {}}
    assert {row["pid"]: row["hits"] for row in data["tasks"]}[11] == {}


def report(**fields):
    rows = (
        TaskTotals(1, 1, "clean", 1),
        TaskTotals(
            *(2, 2, "bad", 2),
            findings=Counter(XCOMP=1, STALE=3),
            cleaned=Counter(AVX=40, SSE=2),
        ),
    )
    values = {"kernel": "k", "switching": "eager", "rows": rows, "tasks": 2, "kthreads": 0}
    more = {"using": 0, "hits": 0, "paths": (), "defects": ()}
    return Report(**{**values, **more, **fields})


def test_findings_in_a_table():
    text = report_table(report(audits=5, undecided={"READ": 2, "FRAME": 1}), "task", "", PLAIN)
    lines = text.splitlines()
    assert lines[0].endswith("; 4 findings in 5 audits")
    assert lines[2].split()[-1] == "findings"
    assert lines[4].split()[-1] == "-"
    assert lines[5].endswith("STALE 3, XCOMP 1")
    assert lines[-3:] == [
        "",
        "made clean for bad (pid 2): AVX 40 bytes, SSE 2 bytes",
        "memory alone could not tell: READ 2 times, FRAME 1 time",
    ]


def test_a_table_without_audits_says_nothing_of_them():
    text = report_table(report(rows=(TaskTotals(1, 1, "clean", 1),)), "task", "", PLAIN)
    for word in ("findings", "audits", "made clean", "could not tell"):
        assert word not in text


def test_findings_are_red():
    text = report_table(report(audits=1), "task", "", Screen(colour=True))
    assert "\x1b[31mSTALE 3, XCOMP 1\x1b[39;49;00m" in text


@pytest.mark.parametrize("by", ["probe", "path"])
def test_other_tables_have_the_summary_only(by):
    lines = report_table(report(audits=5), by, "", PLAIN).splitlines()
    assert lines[0].endswith("; 4 findings in 5 audits")
    assert "findings" not in lines[2]


def test_findings_in_csv():
    rows = list(csv.DictReader(io.StringIO(report_csv(report(), "task", ""))))
    assert [row["findings"] for row in rows] == ["0", "4"]


def test_findings_in_json():
    rows = report().to_json()["tasks"]
    assert [row["findings"] for row in rows] == [{}, {"XCOMP": 1, "STALE": 3}]
    assert [row["cleaned"] for row in rows] == [{}, {"AVX": 40, "SSE": 2}]


def test_a_task_that_cannot_be_read_is_counted_as_undecided(tmp_path):
    traced = Traced(M66(), tmp_path / "out")
    probe = replace(PROBES["fpu_clone"], subject="current")
    m = traced.m
    traced.entered(traced.hit(probe))
    m.in_fpu(m.alice, 16, 0xFFFFFFFF00000000)
    traced.returned(probe)
    assert traced.totals.undecided == {"READ": 1}
    (line,) = traced.lines()
    assert line["undecided"][0].startswith("READ: not read: cannot read ")
    traced.tracer.close()


def test_an_open_call_tells_who_returns_without_a_read(traced):
    """Over KGDB a thread is a task, and a task does not end inside a call."""
    target = traced.m.target
    assert traced.tracer.caller(CLEAN) is None
    traced.entered(traced.hit(CLEAN, traced.m.bob))
    target.reads.clear()
    caller = traced.tracer.caller(CLEAN)
    assert target.reads == []
    assert caller == traced.m.task(traced.m.alice)
    assert traced.tracer.caller(PROBES["copy_fpstate_to_sigframe"]) is None
    before, target.stopped = target.stopped, Thread(9, 4711)
    assert traced.tracer.caller(CLEAN) is None
    target.stopped = before
    traced.returned(CLEAN)
    assert traced.tracer.caller(CLEAN) is None
