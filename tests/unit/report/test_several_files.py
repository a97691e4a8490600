# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports of several event files, and of a choice of their hits. All is counted by hand."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from event_files import HEADER, HIT, OTHER, SANITIZE, SIGFRAME, written
from peak import peak

from gdbfpu.commands.filter_options import FilterOptions, hit_filter
from gdbfpu.report.event_filter import HitFilter
from gdbfpu.report.event_lines import open_events
from gdbfpu.report.from_events import report_of_files
from gdbfpu.trace import totals


def report_of(files, chosen=None):
    with ExitStack() as stack:
        lines = [stack.enter_context(open_events(file, lambda lines: None)) for file in files]
        return report_of_files(lines, chosen)


def test_files_of_one_kernel_add_up_by_task(tmp_path):
    """They are read in the order in which the traces began, and no name is lost."""
    late = {**HEADER, "started": "2026-11-22T01:40:00+0100"}  # 0:40 UTC: before the other
    files = [
        written(tmp_path / "second", {**HIT, "time_ns": 5000, "comm": "Xorg:new"}, OTHER),
        written(tmp_path / "first", HIT, HIT, b"{}", header=late),
    ]
    found = report_of(files)
    assert [(row.comm, row.count, row.first_ns, row.last_ns) for row in found.rows] == [
        ("Xorg:new", 3, 1000, 5000), ("intonly", 1, 1000, 1000),
    ]  # fmt: skip
    assert (found.kernel, found.switching) == (HEADER["kernel"], "lazy")
    assert (found.tasks, found.using, found.hits, found.source) == (2, 1, 4, "2 files")
    assert found.paths == (((SIGFRAME, "get_sigframe"), 4),)
    assert found.defects == ("first: line 4: 'task' is missing",)


def test_files_of_two_kernels_stay_apart(tmp_path):
    """The same address and pid are two tasks on two machines."""
    other = {**HEADER, "kernel": "Linux version 5.10.223", "switching": "eager"}
    files = [
        written(tmp_path / "a", HIT),
        written(tmp_path / "b", {**HIT, "comm": "sh", "uses_fpu": None, "why": ""}, header=other),
    ]
    found = report_of(files)
    assert [(row.comm, row.pid, row.count) for row in found.rows] == [
        ("Xorg", 30, 1),
        ("sh", 30, 1),
    ]
    assert found.kernel == "Linux version 4.4.60 (me@here); Linux version 5.10.223"
    assert (found.switching, found.tasks, found.using) == ("lazy and eager", 2, 1)


CHOICES = (
    (HitFilter(), [1, 2, 3, 4]),
    (HitFilter(pids=(31, 99)), [3]),
    (HitFilter(comms=("X*",)), [1, 2, 4]),
    (HitFilter(comms=("Xorg", "intonly")), [1, 2, 3, 4]),
    (HitFilter(functions=(SANITIZE,)), [2]),
    (HitFilter(cpus=(0,)), [4]),
    (HitFilter(components=1 << 9), [2]),
    (HitFilter(components=1 << 9 | 1 << 2), [1, 2, 4]),
    (HitFilter(since=1.0), [2, 3, 4]),
    (HitFilter(until=1.0), [1]),
    (HitFilter(since=1.0, until=2.5), [2, 3]),
    (HitFilter(pids=(30,), cpus=(1,), since=0.5), [2]),
)


@pytest.mark.parametrize(("chosen", "numbers"), CHOICES)
def test_a_choice_of_hits(tmp_path, chosen, numbers):
    start = 1_764_000_000_000_000_000
    hits = (
        {**HIT, "seq": 1, "time_ns": start},
        {**HIT, "seq": 2, "time_ns": start + 10**9, "function": SANITIZE, "xfeatures": "0x201"},
        {**OTHER, "seq": 3, "time_ns": start + 2 * 10**9},
        {**HIT, "seq": 4, "time_ns": start + 3 * 10**9, "cpu": 0},
    )
    found = report_of([written(tmp_path / "f", *hits)], chosen)
    assert found.defects == ()
    wanted = [hits[number - 1] for number in numbers]
    assert found.hits == len(wanted)
    for row in found.rows:
        times = [hit["time_ns"] for hit in wanted if hit["pid"] == row.pid]
        assert (row.count, row.first_ns, row.last_ns) == (len(times), times[0], times[-1])


def test_without_a_choice_there_is_no_filter():
    assert hit_filter(FilterOptions()) is None
    for name, value in (("pids", (1,)), ("comms", ("x",)), ("probes", ("f",)), ("cpus", (0,)),
                        ("components", ("x87",)), ("since", 0.5), ("until", 0.0)):  # fmt: skip
        assert hit_filter(FilterOptions(**{name: value})) is not None


def test_a_clock_that_was_set_back_hides_no_hit(tmp_path):
    hits = {**HIT, "time_ns": 5 * 10**9}, {**HIT, "time_ns": 1}
    assert report_of([written(tmp_path / "f", *hits)], HitFilter(pids=(30,))).hits == 2


def test_lines_about_hits_that_were_not_chosen_count_nowhere(tmp_path):
    frame = {"use_of": 1, "task": OTHER["task"], "pid": 31, "uses_fpu": True, "why": "x"}
    audit = {"of": 1, "pid": 31, "findings": [{"rule": "STALE"}], "undecided": [], "cleaned": {}}
    found = report_of([written(tmp_path / "f", OTHER, frame, audit, HIT)], HitFilter(pids=(30,)))
    assert ([row.pid for row in found.rows], found.audits, found.defects) == ([30], 0, ())


def test_an_audit_of_a_hit_that_was_not_chosen_counts_nowhere(tmp_path):
    """The audit belongs to the task's second hit, on another CPU."""
    audit = {"of": 2, "pid": 30, "findings": [{"rule": "STALE"}], "undecided": [], "cleaned": {}}
    file = written(tmp_path / "f", HIT, {**HIT, "seq": 2, "cpu": 0}, audit)
    found = report_of([file], HitFilter(cpus=(1,)))
    assert (found.hits, found.audits, found.rows[0].findings) == (1, 0, {})


def test_times_of_each_file_count_from_its_own_first_hit(tmp_path):
    late = {**HEADER, "started": "2026-11-23T01:38:11+0000"}
    first = written(tmp_path / "first", HIT, {**HIT, "time_ns": 9 * 10**9})
    second = written(tmp_path / "second", {**HIT, "time_ns": 10**15}, header=late)
    assert report_of([first, second], HitFilter(until=5.0)).hits == 2


def test_audits_of_all_kernels_are_counted(tmp_path):
    audit = {"of": 1, "pid": 30, "findings": [], "undecided": ["FORK: x"], "cleaned": {}}
    kernels = [{**HEADER, "kernel": f"Linux {n}"} for n in range(3)]
    files = [written(tmp_path / header["kernel"], HIT, audit, header=header) for header in kernels]
    found = report_of(files)
    assert (found.audits, found.undecided) == (3, {"FORK": 3})


def test_tasks_beyond_the_cap_are_a_row_and_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(totals, "MAX_ROWS", 4)
    file = written(tmp_path / "f", *({**HIT, "pid": n, "time_ns": n} for n in range(1, 7)))
    found = report_of([file])
    assert (found.tasks, found.hits, sum(row.count for row in found.rows)) == (6, 6, 6)
    assert sorted(row.comm for row in found.rows if row.pid == 0) == ["(2 other tasks)"]


def test_long_names_are_not_kept(tmp_path):
    """16 MB of names that are cut when they are shown: none stays in memory."""
    long = ({**HIT, "backtrace": [f"{number}{'x' * 100_000}"]} for number in range(160))
    file = written(tmp_path / "f", *long)
    report, most = peak(lambda: report_of([file]))
    assert report.hits == 160
    assert most < 4 << 20
