# SPDX-License-Identifier: GPL-2.0-or-later
"""Totals that do not grow with the number of hits."""

from __future__ import annotations

import pytest

from gdbfpu.fpu.evidence import Answer, Basis, Evidence, Observation, Use
from gdbfpu.kernel.tasks import Task
from gdbfpu.trace import totals as totals_module
from gdbfpu.trace.task_totals import MAX_MASKS, TaskTotals
from gdbfpu.trace.totals import AuditFacts, Facts, Totals


def task(address, pid, comm="task"):
    return Task(address, pid, pid + 1000, comm, False)


_YES, _NO, _OPEN = Use(Answer.YES, "seen"), Use(Answer.NO, "n"), Use(Answer.UNKNOWN, "1 frame")


def facts(time_ns=1, cpu=0, thread=None, mask=0, live=False, use=None):
    return Facts(time_ns, cpu, thread, mask, live, use)


def test_one_row_a_task():
    totals = Totals()
    row = totals.row(task(0x10, 1, "first"))
    assert (row.pid, row.tgid, row.comm, row.task) == (1, 1001, "first", 0x10)
    assert (row.thread, row.cpu, row.use.answer) == (None, -1, Answer.UNKNOWN)
    assert totals.row(task(0x10, 1, "renamed")) is row
    assert totals.row(task(0x10, 2)) is not row
    assert totals.row(task(0x20, 1)) is not row
    assert len(totals.tasks) == 3


def test_rows_share_nothing():
    totals = Totals()
    totals.row(task(1, 1)).hits["f"] += 1
    assert totals.row(task(2, 2)).hits == {}
    assert Totals().tasks == {}
    assert Totals().paths == {}


def test_count_is_of_hits_on_all_functions():
    assert TaskTotals(1, 1, "", 1, live_hits=3, memory_hits=4).count == 7
    assert TaskTotals(1, 1, "", 1).count == 0


def test_a_hit_is_added_to_its_row():
    totals = Totals()
    row = totals.add(task(0x10, 1), ("f", "a"), facts(100, 0, 7, 1, True, _NO))
    assert row is totals.row(task(0x10, 1))
    totals.add(task(0x10, 1, "renamed"), ("g",), facts(300, 1, None, 4, False, _YES))
    totals.add(task(0x20, 2), ("f", "a"), facts(200, 1))
    assert (row.comm, row.thread, row.cpu) == ("renamed", None, 1)
    assert row.hits == {"f": 1, "g": 1}
    assert (row.live_hits, row.memory_hits, row.components) == (1, 1, 5)
    assert (row.first_ns, row.last_ns) == (100, 300)
    assert totals.paths == {("f", "a"): 2, ("g",): 1}


@pytest.mark.parametrize(
    ("told", "use"),
    [
        ([None], Use()),
        ([None, _NO], _NO),
        ([_NO, None], _NO),
        ([_NO, _YES, None, _NO], _YES),
        ([_NO, _OPEN], _OPEN),
    ],
)
def test_use_that_was_seen_stays(told, use):
    totals = Totals()
    for each in told:
        row = totals.add(task(1, 1), ("f",), facts(use=each))
    assert row.use == use


def test_what_is_learned_of_a_task_is_in_its_row():
    totals, proof = Totals(), Evidence().with_(Observation(Basis.FRAME, 4, 1))
    assert totals.known(task(1, 1)) == Evidence()
    totals.learn(task(1, 1), proof)
    assert (totals.known(task(1, 1)), totals.tasks) == (proof, {})
    row = totals.add(task(1, 1), ("f",), facts(use=proof.use))
    totals.learn(task(1, 2), proof)
    assert (row.use, totals.hits) == (proof.use, 1)


def test_what_is_known_has_an_upper_bound(monkeypatch):
    monkeypatch.setattr(totals_module, "MAX_KNOWN", 8)
    totals, proof = Totals(), Evidence().with_(Observation(Basis.FRAME, 4, 1))
    for pid in range(20):
        totals.learn(task(1, pid), proof)
    known = [pid for pid in range(20) if totals.known(task(1, pid)) == proof]
    assert known[-1] == 19
    assert known == list(range(known[0], 20))
    assert 4 <= len(known) <= 8


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
        totals.add(task(1, 1), path, facts())
    assert totals.paths == {("f", "a"): 2, ("f", "b"): 1, ("g", "a"): 1, ("f",): 1}
    assert totals.hits == 5


def test_paths_beyond_the_cap_are_counted_together(monkeypatch):
    monkeypatch.setattr(totals_module, "MAX_PATHS", 3)
    totals = Totals()
    for i in range(50):
        totals.add(task(1, 1), ("f", f"caller{i}"), facts())
        totals.add(task(1, 1), ("g", f"caller{i}"), facts())
    totals.add(task(1, 1), ("f", "caller0"), facts())  # one that is known counts on
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
    assert (totals.others.pid, totals.others.use.answer) == (0, Answer.UNKNOWN)


def test_no_hit_is_lost_at_the_cap_of_tasks(monkeypatch):
    monkeypatch.setattr(totals_module, "MAX_ROWS", 50)
    totals = Totals()
    for i in range(3000):
        hit(totals, i, 1 + i)
        assert len(totals.tasks) <= 50
    assert totals.folded + len(totals.tasks) == 3000
    assert totals.others.count + sum(row.count for row in totals.tasks.values()) == 3000


def test_hits_are_counted_by_their_header(monkeypatch):
    monkeypatch.setattr(totals_module, "MAX_MASKS", 3)
    totals = Totals()
    for mask in (3, 7, 3, 1, 15, 7, 31):
        row = totals.add(task(1, 1), ("f",), facts(mask=mask))
    assert row.masks == {3: 2, 7: 2, 1: 1}
    assert [row.with_component(number) for number in range(4)] == [5, 4, 2, 0]
    assert (row.count, row.components) == (7, 31)


def test_merged_tasks_have_as_many_headers_as_one():
    a, b = TaskTotals(1, 1, "a", 1), TaskTotals(2, 2, "b", 2)
    a.masks.update(dict.fromkeys(range(40), 2))
    b.masks.update(dict.fromkeys(range(20, 60), 1))
    assert a.plus(b).masks == {n: (n < 40) * 2 + (n >= 20) for n in range(60)}
    b.masks.update(dict.fromkeys(range(60, 84), 3))
    assert len(a.plus(b).masks) == MAX_MASKS
    assert set(a.plus(b).masks) == {*range(40), *range(60, 84)}  # the most frequent


@pytest.mark.parametrize("live", [True, False])
def test_several_hits_at_once_are_as_one_after_the_other(live):
    together, single = Totals(), Totals()
    last = facts(900, 2, 7, 5, live, _YES)
    together.add_several(task(1, 1), ("f", "a"), last, 5, 100)
    for time_ns in (100, 300, 500, 700, 900):
        single.add(task(1, 1), ("f", "a"), facts(time_ns, 2, 7, 5, live, _YES))
    assert together.tasks == single.tasks
    assert (together.hits, together.paths) == (single.hits, single.paths) == (5, {("f", "a"): 5})


def test_several_hits_may_be_older_than_those_before():
    totals = Totals()
    row = totals.add(task(1, 1, "new"), ("f",), facts(500, 1, 8, 1, True))
    totals.add_several(task(1, 1, "old"), ("g",), facts(400, 0, 7, 2, False), 3, 200)
    assert (row.first_ns, row.last_ns) == (200, 500)
    assert (row.comm, row.thread, row.cpu) == ("new", 8, 1)
    assert (row.hits, row.masks, row.components) == ({"f": 1, "g": 3}, {1: 1, 2: 3}, 3)
    totals.add_several(task(1, 1, "newest"), ("g",), facts(500, 2, None, 2, False), 1, 450)
    assert (row.comm, row.thread, row.cpu, row.first_ns) == ("newest", None, 2, 200)


def test_several_hits_beyond_the_caps(monkeypatch):
    monkeypatch.setattr(totals_module, "MAX_PATHS", 1)
    monkeypatch.setattr(totals_module, "MAX_MASKS", 1)
    monkeypatch.setattr(totals_module, "MAX_ROWS", 2)
    totals = Totals()
    for pid in range(4):
        for mask in (1, 2):
            totals.add_several(task(pid, pid), ("f", f"a{pid}"), facts(pid + 1, mask=mask), 10, 1)
    assert totals.hits == 80
    assert totals.paths == {("f", "a0"): 20, ("f", "(other paths)"): 60}
    assert totals.others.count + sum(row.count for row in totals.tasks.values()) == 80
    assert [row.masks for row in totals.tasks.values()] == [{1: 10}] * len(totals.tasks)
