# SPDX-License-Identifier: GPL-2.0-or-later
"""What fpu-report says of the tasks of kernel44, whose list stands in its source."""

from __future__ import annotations

import collections
import csv
import io
import json
import re
from pathlib import Path

import pytest
from gdb_harness import EVIL, GOLDEN, expected_hits, gdb, trace

HITS = expected_hits()
TASKS = {  # pid: tgid, name, uses the FPU under lazy switching, under eager switching
    1: (1, "init", False, False),
    30: (30, "Xorg", True, True),
    31: (31, "x87calc", True, True),
    32: (32, "mmxplay", True, True),
    33: (33, "audiod", True, True),
    34: (34, "intonly", False, False),
    35: (35, EVIL, True, False),
    36: (36, "avxthreads", True, False),
    37: (36, "avxthreads", True, False),
    38: (36, "avxthreads", True, False),
    39: (36, "avxthreads", True, False),
}
ALL = 13  # those, swapper/0 and kthreadd
KEYS = {
    "thread", "pid", "tgid", "comm", "hits", "components", "live_hits", "memory_hits",
    "first_ns", "last_ns", "uses_fpu",
}  # fmt: skip


@pytest.fixture(scope="module")
def replayed(kernel44: Path) -> list[str]:
    """Return what each of these said after the golden hits."""
    return trace(
        kernel44,
        "break finished",
        "fpu-trace on --quiet --backtrace 2",
        "continue",
        "fpu-report --format json",
        "fpu-report",
        "fpu-report --by probe",
        "fpu-report --by path",
        "fpu-report --format csv --sort pid",
        "fpu-report --by probe --format csv",
        "fpu-trace off",
        "fpu-report --format json --sort name",
        "info threads",
    ).parts[3:]


def test_json_after_the_golden_hits(replayed: list[str]) -> None:
    report = json.loads(replayed[0])
    assert report["kernel"] == GOLDEN["kernel"].strip()
    times = [t[key] for t in report["tasks"] if t["hits"] for key in ("first_ns", "last_ns")]
    seconds = pytest.approx((max(times) - min(times)) / 1e9)
    assert report["totals"] == {"tasks": ALL, "using_fpu": 9, "hits": 24, "seconds": seconds}
    assert {t["pid"]: (t["tgid"], t["comm"], t["uses_fpu"]) for t in report["tasks"]} == {
        pid: row[:3] for pid, row in TASKS.items()
    }
    for task in report["tasks"]:
        assert set(task) >= KEYS
        hits = [hit for hit in HITS if hit.pid == task["pid"]]
        assert task["hits"] == collections.Counter(hit.function for hit in hits)
        live = sum(hit.golden["fpu"]["fpregs_active"] for hit in hits)
        assert (task["live_hits"], task["memory_hits"]) == (live, len(hits) - live)
        assert task["components"] == (["x87", "SSE", "AVX"] if hits else [])
        headers = [hit.golden["header"]["xfeatures"] for hit in hits]
        assert set(headers) <= {0, 7}
        assert task["component_hits"] == dict.fromkeys(task["components"], headers.count(7))
        assert task["thread"] == (hits[-1].thread if hits else None)
        assert (task["first_ns"] or 0) <= (task["last_ns"] or 0)
        assert bool(task["first_ns"]) is bool(hits)


def test_users_come_first_then_most_hits(replayed: list[str]) -> None:
    rows = [(t["uses_fpu"], sum(t["hits"].values())) for t in json.loads(replayed[0])["tasks"]]
    assert rows == sorted(rows, reverse=True)
    assert {uses for uses, _ in rows} == {True, False}


def test_table(replayed: list[str]) -> None:
    lines = replayed[1].splitlines()
    assert re.fullmatch(
        r"Xorg took 6 of 24 hits, with AVX in use; 9 of 13 tasks use the FPU \(2 are kernel "
        r"threads, without FPU state\); 24 hits in [\d.]+ s, [\d.]+/s; lazy switching",
        lines[0],
    )
    assert lines[2].split() == [
        "thread", "pid", "tgid", "task", "FPU", "copy_fpstate_to_sigframe",
        "fpstate_sanitize_xstate", "CPU", "components", "live", "memory", "first", "last",
    ]  # fmt: skip
    xorg = next(line.split() for line in lines if " Xorg " in line)
    assert xorg[:11] == ["2", "30", "30", "Xorg", "yes", "4", "2", "1", "x87|SSE|AVX", "2", "4"]
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", field) for field in xorg[11:])
    intonly = next(line.split() for line in lines if " intonly " in line)
    assert intonly == ["-", "34", "34", "intonly", "no", *"--------"]


def test_by_probe_and_path(replayed: list[str]) -> None:
    rows = [line.split() for line in replayed[2].splitlines()[4:6]]
    assert rows == [["16", "4", "copy_fpstate_to_sigframe"], ["8", "4", "fpstate_sanitize_xstate"]]
    paths = [line.split(None, 1) for line in replayed[3].splitlines()[4:6]]
    assert paths == [
        ["16", "copy_fpstate_to_sigframe < get_sigframe < __setup_rt_frame"],
        ["8", "fpstate_sanitize_xstate < copy_fpstate_to_sigframe < get_sigframe"],
    ]
    assert replayed[5].splitlines() == [
        "hits,tasks,function",
        "16,4,copy_fpstate_to_sigframe",
        "8,4,fpstate_sanitize_xstate",
    ]


def test_csv(replayed: list[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(replayed[4])))
    assert [int(row["pid"]) for row in rows] == sorted(TASKS)
    assert [row["comm"] for row in rows] == [TASKS[pid][1] for pid in sorted(TASKS)]
    assert [row["uses_fpu"] == "yes" for row in rows] == [TASKS[p][2] for p in sorted(TASKS)]
    counts = collections.Counter((hit.pid, hit.function) for hit in HITS)
    for row in rows:
        for function in ("copy_fpstate_to_sigframe", "fpstate_sanitize_xstate"):
            assert int(row[function]) == counts[int(row["pid"]), function]


def test_off_keeps_the_report(replayed: list[str]) -> None:
    before, after = json.loads(replayed[0]), json.loads(replayed[7])
    assert after["totals"] == before["totals"]
    assert sorted(after["tasks"], key=lambda t: t["pid"]) == sorted(
        before["tasks"], key=lambda t: t["pid"]
    )
    names = [task["comm"].lower() for task in after["tasks"]]
    assert names == sorted(names)


@pytest.mark.parametrize(("switching", "column"), [("lazy", 2), ("eager", 3)])
def test_without_a_trace(kernel44: Path, tmp_path: Path, switching: str, column: int) -> None:
    """Eager: an integer-only task is active too; initial values that are seen once tell nothing."""
    out = tmp_path / "report.json"
    output = trace(
        kernel44, f"fpu-report --format json --out {out}", "fpu-report", "print tasks[6].comm",
        "print tasks[6].thread.fpu.fpstate_active", arguments=f"{switching} replay",
    )  # fmt: skip
    assert output.parts[0] == ""
    assert '"intonly' in output.parts[2]
    assert output.parts[3].endswith(r"1 '\001'" if switching == "eager" else r"0 '\000'")
    report = json.loads(out.read_text())
    assert report["switching"] == switching
    assert {t["pid"]: t["uses_fpu"] for t in report["tasks"]} == {
        pid: row[column] or (None if switching == "eager" else False) for pid, row in TASKS.items()
    }
    using = sum(row[column] for row in TASKS.values())
    assert report["totals"] == {"tasks": ALL, "using_fpu": using, "hits": 0, "seconds": 0}
    assert f"{using} of {ALL} tasks use the FPU" in output.parts[1]


def test_eager_hits_prove_no_use(kernel44: Path) -> None:
    output = trace(
        kernel44, "break finished", "fpu-trace on --quiet", "continue", "fpu-report --format json",
        arguments="eager others",
    )  # fmt: skip
    rows = {task["pid"]: task for task in json.loads(output.parts[3])["tasks"]}
    for pid, count in ((34, 3), (35, 1), (36, 1), (39, 2)):
        assert rows[pid]["hits"] == {"copy_fpstate_to_sigframe": count}
        frames = f"{count} frame{'s' * (count > 1)}"
        assert rows[pid]["why"] == f"initial in {frames} and 1 memory image"
        assert rows[pid]["uses_fpu"] is (None if count + 1 < 3 else False)
        assert rows[pid]["live_hits"] == count
    assert rows[37]["hits"] == {}


def test_one_value_that_differs_makes_a_user(kernel44: Path) -> None:
    """One bit in x87, in the last bytes of SSE and of AVX, in otherwise initial eager states."""
    fields = {
        0: "fxsave.xmm_space[63]",  # init
        6: "fxsave.st_space[0]",  # intonly
        9: "__padding[831]",  # the second of avxthreads
    }
    sets = [f"set var tasks[{n}].thread.fpu.state.{field} = 1" for n, field in fields.items()]
    output = trace(kernel44, *sets, "fpu-report --format json", arguments="eager replay")
    using = {t["pid"] for t in json.loads(output.parts[3])["tasks"] if t["uses_fpu"]}
    assert using == {30, 31, 32, 33, 1, 34, 37}


def test_event_file_without_a_kernel(kernel44: Path, tmp_path: Path) -> None:
    """A second GDB, which has no program, tells of the hits what the golden data have."""
    out, again = tmp_path / "hits.jsonl", tmp_path / "report.json"
    trace(kernel44, "break finished", f"fpu-trace on --quiet --out {out}", "continue")
    with out.open("a") as stream:
        stream.write('{"seq": 25, "time_')  # as a killed session leaves it
    parts = gdb(
        "source gdbfpu",
        f"fpu-report --from {out} --format json --out {again}",
        f"fpu-report --from {out}",
        f"fpu-report --from {again}",
        f"fpu-report --from {tmp_path}/none",
    ).parts
    report = json.loads(again.read_text())
    hits = collections.defaultdict(collections.Counter)
    for hit in HITS:
        hits[hit.pid][hit.function] += 1
    assert {task["pid"]: task["hits"] for task in report["tasks"]} == hits
    for task in report["tasks"]:
        assert (task["tgid"], task["comm"], task["uses_fpu"]) == TASKS[task["pid"]][:3]
    using = sum(TASKS[pid][2] for pid in hits)
    totals = report["totals"]
    assert totals.pop("seconds") > 0
    assert totals == {"tasks": len(hits), "using_fpu": using, "hits": 24}
    assert (report["kernel"], report["switching"]) == (GOLDEN["kernel"].strip(), "lazy")
    assert parts[1] == ""
    first, *_, last = parts[2].splitlines()
    assert f"; {len(hits)} tasks in hits.jsonl, {using} of them known to use the FPU; " in first
    assert last == "incomplete: line 26: cut short, as when a session is killed"
    assert parts[3] == (
        f"fpu-report: {again} is not an event file: write one with `fpu-trace on --out`"
    )
    assert parts[4] == f"fpu-report: cannot read {tmp_path}/none: No such file or directory"
