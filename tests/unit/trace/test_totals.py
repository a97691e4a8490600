# SPDX-License-Identifier: GPL-2.0-or-later
"""Totals that do not grow with the number of hits."""

from __future__ import annotations

import pytest

from gdbfpu.kernel.tasks import Task
from gdbfpu.trace import totals as totals_module
from gdbfpu.trace.totals import AuditFacts, Facts, TaskTotals, Totals


def task(address, pid, comm="task"):
    return Task(address, pid, pid + 1000, comm, False)


def facts(time_ns=1, cpu=0, thread=None, mask=0, live=False, uses_fpu=None):
    return Facts(time_ns, cpu, thread, mask, live, uses_fpu)


def test_one_row_a_task():
    totals = Totals()
    row = totals.of(task(0x10, 1, "first"))
    assert (row.pid, row.tgid, row.comm, row.task) == (1, 1001, "first", 0x10)
    assert (row.thread, row.cpu, row.uses_fpu) == (None, -1, None)
    assert totals.of(task(0x10, 1, "renamed")) is row
    assert totals.of(task(0x10, 2)) is not row
    assert totals.of(task(0x20, 1)) is not row
    assert len(totals.tasks) == 3


def test_rows_share_nothing():
    totals = Totals()
    totals.of(task(1, 1)).hits["f"] += 1
    assert totals.of(task(2, 2)).hits == {}
    assert Totals().tasks == {}
    assert Totals().paths == {}


def test_count_is_of_hits_on_all_functions():
    assert TaskTotals(1, 1, "", 1, live_hits=3, memory_hits=4).count == 7
    assert TaskTotals(1, 1, "", 1).count == 0


def test_a_hit_is_added_to_its_row():
    totals = Totals()
    row = totals.add(task(0x10, 1), ("f", "a"), facts(100, 0, 7, 1, True, False))
    assert row is totals.of(task(0x10, 1))
    totals.add(task(0x10, 1, "renamed"), ("g",), facts(300, 1, None, 4, False, True))
    totals.add(task(0x20, 2), ("f", "a"), facts(200, 1))
    assert (row.comm, row.thread, row.cpu) == ("renamed", None, 1)
    assert row.hits == {"f": 1, "g": 1}
    assert (row.live_hits, row.memory_hits, row.components) == (1, 1, 5)
    assert (row.first_ns, row.last_ns) == (100, 300)
    assert totals.paths == {("f", "a"): 2, ("g",): 1}


@pytest.mark.parametrize(
    ("shown", "uses_fpu"),
    [
        ([None], None),
        ([None, False], False),
        ([False, None], False),
        ([False, True, None, False], True),
    ],
)
def test_use_that_was_seen_stays(shown, uses_fpu):
    totals = Totals()
    for each in shown:
        row = totals.add(task(1, 1), ("f",), facts(uses_fpu=each))
    assert row.uses_fpu is uses_fpu


def test_the_same_facts_add_nothing_again():
    """A ^C may come when they are added already, and then they come again."""
    totals = Totals()
    for one in (facts(100, live=True), facts(100, live=True)):
        for _ in range(3):
            row = totals.add(task(1, 1), ("f",), one)
    assert (row.hits, row.live_hits, totals.hits) == ({"f": 2}, 2, 2)
    for one in (AuditFacts(("STALE",), ("READ",), {"AVX": 4}), AuditFacts(("STALE",), (), {})):
        for _ in range(3):
            totals.add_audit(row, one)
    assert (row.findings, row.cleaned) == ({"STALE": 2}, {"AVX": 4})
    assert (totals.undecided, totals.audited) == ({"READ": 1}, 2)


def test_paths_are_counted():
    totals = Totals()
    for path in (("f", "a"), ("f", "b"), ("f", "a"), ("g", "a"), ("f",)):
        totals.paths[totals.path(path)] += 1
    assert totals.paths == {("f", "a"): 2, ("f", "b"): 1, ("g", "a"): 1, ("f",): 1}
    assert totals.hits == 5


def test_paths_beyond_the_cap_are_counted_together(monkeypatch):
    monkeypatch.setattr(totals_module, "MAX_PATHS", 3)
    totals = Totals()
    for i in range(50):
        totals.paths[totals.path(("f", f"caller{i}"))] += 1
        totals.paths[totals.path(("g", f"caller{i}"))] += 1
    totals.paths[totals.path(("f", "caller0"))] += 1  # one that is known counts on
    assert totals.paths == {
        ("f", "caller0"): 2,
        ("g", "caller0"): 1,
        ("f", "caller1"): 1,
        ("f", "(other paths)"): 48,
        ("g", "(other paths)"): 49,
    }
    assert totals.hits == 101


@pytest.mark.parametrize("hits", [10, 10_000])
def test_size_does_not_depend_on_the_number_of_hits(hits):
    totals = Totals()
    for i in range(hits):
        totals.add(task(0x10 * (i % 3), i % 3), ("f", "a"), facts())
    assert (len(totals.tasks), len(totals.paths)) == (3, 1)
    assert totals.hits == hits


def test_reasons_beyond_the_cap_are_counted_together():
    totals = Totals()
    for i in range(1000):
        totals.fail(f"cannot read 8 bytes at {i:#x}")
    totals.fail("cannot read 8 bytes at 0x0")
    assert totals.errors["cannot read 8 bytes at 0x0"] == 2
    assert totals.errors["other reasons"] == 900
    assert len(totals.errors) == totals_module.MAX_ERRORS + 1


def hit(totals, pid, at):
    totals.add(task(0x1000 + pid, pid), ("f",), facts(at, mask=1 << pid % 3))


def test_tasks_beyond_the_cap_are_counted_together(monkeypatch):
    monkeypatch.setattr(totals_module, "MAX_ROWS", 8)
    totals = Totals()
    for pid in range(8):
        hit(totals, pid, 10 + pid)
    hit(totals, 0, 100)  # the first one is hit again, so it is not among the oldest
    hit(totals, 8, 101)
    assert [row.pid for row in totals.tasks.values()] == [0, 3, 4, 5, 6, 7, 8]
    assert (totals.folded, totals.others.count, totals.others.hits) == (2, 2, {"f": 2})
    assert (totals.others.first_ns, totals.others.last_ns) == (11, 12)
    assert totals.others.components == 0b110
    assert (totals.others.pid, totals.others.uses_fpu) == (0, None)


def test_no_hit_is_lost_at_the_cap_of_tasks(monkeypatch):
    monkeypatch.setattr(totals_module, "MAX_ROWS", 50)
    totals = Totals()
    for i in range(3000):
        hit(totals, i, 1 + i)
        assert len(totals.tasks) <= 50
    assert totals.folded + len(totals.tasks) == 3000
    assert totals.others.count + sum(row.count for row in totals.tasks.values()) == 3000
