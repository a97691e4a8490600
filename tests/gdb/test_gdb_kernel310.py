# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux 3.10, where a pointer leads to the FPU state, NULL until the task uses the FPU."""

from __future__ import annotations

import json

import pytest
from gdb_harness import Compiler, Output, events, trace

SAVE, SANITIZE = "save_xstate_sig", "__sanitize_i387_state"
X87 = (35, "x87calc", "0x3", ["x87", "SSE"])
AVX = (36, "avxcalc", "0x7", ["x87", "SSE", "AVX"])
HITS = [  # function, whose state, live, who ran; the order is main's in kernel310.c
    (SAVE, X87, True, "x87calc"),
    (SAVE, AVX, False, "avxcalc"),
    (SANITIZE, AVX, False, "avxcalc"),
    (SANITIZE, AVX, False, "tracer"),
]
XMM0 = "11111111222222223333333344444444"
YMM0 = f"{XMM0}55555555666666667777777788888888"


@pytest.fixture(scope="module")
def traced(
    compiler: Compiler, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict, list[dict], Output]:
    """Return header and hits of a trace of all there is, and what commands after it said."""
    out = tmp_path_factory.mktemp("kernel310") / "events.jsonl"
    output = trace(
        compiler(source="kernel310.c"),
        "break finished",
        f"fpu-trace on --state full --backtrace 2 --out {out}",
        "continue",
        "fpu-report --format json",
        "fpu-state 36 --format json",
        "fpu-state 35 --format json",
        "fpu-state 34",
        "fpu-info --format json",
        "fpu-trace off",
        "continue",
        arguments="",
    )
    assert "guest: saved=2 sanitized=2" in output.parts[9]
    return *events(out), output


def test_header(traced: tuple[dict, list[dict], Output]) -> None:
    header = traced[0]
    assert header["kernel"] == "Linux version 3.10.0 (gcc version 4.8.5) #1 SMP"
    assert (header["switching"], header["xsave_format"]) == ("lazy", "standard")


def test_hits_are_of_the_right_tasks(traced: tuple[dict, list[dict], Output]) -> None:
    got = [
        (
            hit["function"],
            (hit["pid"], hit["comm"], hit["xfeatures"], hit["components"]),
            hit["live"],
            hit["caller_comm"],
        )
        for hit in traced[1]
    ]
    assert got == HITS
    assert [hit["backtrace"][0] for hit in traced[1]] == [
        "handle_signal", "handle_signal", SAVE, "xstateregs_get",
    ]  # fmt: skip
    for hit in traced[1]:
        assert len(hit["raw"]) == 2 * 832
        assert (hit["raw"][2 * 160 :][:32], hit["raw"][2 * 576 :][:32]) == (YMM0[:32], YMM0[32:])


def test_hit_lines(traced: tuple[dict, list[dict], Output]) -> None:
    lines = [line.split() for line in traced[2].parts[2].splitlines()]
    wanted = [
        [comm, str(pid), "0", function, "|".join(names), "live" if live else "memory"]
        for function, (pid, comm, _, names), live, _ in HITS
    ]
    assert [line[2:8] for line in lines if len(line) > 5 and line[5] in (SAVE, SANITIZE)] == wanted


def test_report(traced: tuple[dict, list[dict], Output]) -> None:
    report = json.loads(traced[2].parts[3])
    assert (report["switching"], report["defects"]) == ("lazy", [])
    totals = report["totals"]
    assert totals.pop("seconds") > 0
    assert totals == {"tasks": 5, "using_fpu": 2, "hits": 4}
    assert {t["pid"]: (t["comm"], t["uses_fpu"], t["hits"]) for t in report["tasks"]} == {
        34: ("intonly", False, {}),
        35: ("x87calc", True, {SAVE: 1}),
        36: ("avxcalc", True, {SAVE: 1, SANITIZE: 2}),
        37: ("tracer", False, {}),
    }


@pytest.mark.parametrize(
    ("part", "pid", "ymm0"), [(4, 36, YMM0), (5, 35, XMM0 + 32 * "0")], ids=["AVX", "SSE"]
)
def test_state_of_a_user(
    traced: tuple[dict, list[dict], Output], part: int, pid: int, ymm0: str
) -> None:
    """The SSE task has bytes in memory where AVX goes, and no header bit for them."""
    state = json.loads(traced[2].parts[part])
    assert state["task"]["pid"] == pid
    assert state["task"]["truth"] == "in memory: the task does not run"
    registers = state["registers"]
    assert registers["xmm0"]["bytes"] == XMM0
    assert registers["ymm0"]["bytes"] == ymm0
    assert registers["xmm1"]["bytes"] == 32 * "0"


def test_state_of_a_task_without_one(traced: tuple[dict, list[dict], Output]) -> None:
    said = traced[2].parts[6]
    assert said == "fpu-state: intonly (pid 34) never used the FPU: it has no FPU state"


def test_info_names_what_3_10_has(traced: tuple[dict, list[dict], Output]) -> None:
    told = json.loads(traced[2].parts[7])
    assert told["switching"] == {"value": "lazy", "from": "X86_FEATURE_EAGER_FPU in boot_cpu_data"}
    assert "TIF_NEED_FPU_LOAD" not in told
    assert told["struct fpu"]["value"] == "thread.fpu.state"
