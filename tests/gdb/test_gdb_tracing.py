# SPDX-License-Identifier: GPL-2.0-or-later
"""What a trace prints and writes, against what the real 4.4.60 kernel's trace recorded."""

from __future__ import annotations

import collections
import re
import time
from pathlib import Path

import pytest
from gdb_harness import EVIL, GOLDEN, events, expected_hits, gdb, hit_lines, started, trace

HITS = expected_hits()
HEADER_KEYS = {
    "schema", "gdbfpu", "kernel", "build_id", "stub", "switching", "xsave_format", "started",
}  # fmt: skip
HIT_KEYS = {
    "seq", "time_ns", "function", "thread", "pid", "tgid", "comm", "cpu", "task", "fpu",
    "xfeatures", "xcomp_bv", "components", "live", "backtrace",
}  # fmt: skip


def test_golden_data_hold_both_kinds() -> None:
    active = {hit.golden["fpu"]["fpregs_active"] for hit in HITS}
    assert active == {0, 1}
    assert {hit.function for hit in HITS} == {"copy_fpstate_to_sigframe", "fpstate_sanitize_xstate"}
    assert len(HITS) == len(GOLDEN["hits"]) == 24


def test_hit_lines(kernel44: Path) -> None:
    output = trace(kernel44, "fpu-trace on", "continue")
    assert "guest: copies=16 sanitized=8 wrong=0" in output.parts[1]
    components = {7: "x87|SSE|AVX", 0: "-"}
    callers = {
        "copy_fpstate_to_sigframe": "get_sigframe",
        "fpstate_sanitize_xstate": "copy_fpstate_to_sigframe",
    }
    assert hit_lines(output.parts[1]) == [
        (
            str(number),
            str(hit.thread),
            hit.comm,
            str(hit.pid),
            str(hit.thread - 1),
            hit.function,
            components[hit.golden["header"]["xfeatures"]],
            "live" if hit.golden["fpu"]["fpregs_active"] else "memory",
            callers[hit.function],
        )
        for number, hit in enumerate(HITS, 1)
    ]


@pytest.fixture(scope="module")
def full(kernel44: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, list[dict], str]:
    """Return header, hits and GDB's own idea of the tasks, of one trace of all there is."""
    out = tmp_path_factory.mktemp("full") / "events.jsonl"
    before = time.time_ns()
    printed = 'printf "%d %#lx %#lx\\n", tasks[{0}].pid, &tasks[{0}], &tasks[{0}].thread.fpu'
    output = trace(
        kernel44,
        *(printed.format(number) for number in range(2, 6)),
        f"fpu-trace on --state full --backtrace 10 --quiet --out {out}",
        "continue",
    )
    assert hit_lines(output.text) == []
    header, hits = events(out)
    assert all(before < hit["time_ns"] < time.time_ns() for hit in hits)
    return header, hits, "\n".join(output.parts[:4])


def test_event_header(full: tuple[dict, list[dict], str]) -> None:
    header = full[0]
    assert set(header) >= HEADER_KEYS
    assert header["kernel"] == GOLDEN["kernel"].strip()
    assert header["schema"] == 1
    assert header["build_id"] == ""
    assert (header["switching"], header["xsave_format"]) == ("lazy", "standard")
    assert time.strptime(header["started"], "%Y-%m-%dT%H:%M:%S%z").tm_year > 2000


def test_events_hold_the_golden_state(full: tuple[dict, list[dict], str]) -> None:
    hits = full[1]
    assert len(hits) == len(HITS)
    for got, want in zip(hits, HITS):
        golden = want.golden
        assert set(got) >= {*HIT_KEYS, "raw"}
        assert (got["function"], got["comm"], got["pid"]) == (want.function, want.comm, want.pid)
        assert (got["thread"], got["cpu"]) == (want.thread, want.thread - 1)
        assert got["tgid"] == golden["tgid"]
        assert got["raw"] == golden["fpu_bytes"][2 * 64 :]
        assert int(got["xfeatures"], 16) == golden["header"]["xfeatures"]
        assert int(got["xcomp_bv"], 16) == golden["header"]["xcomp_bv"]
        assert got["components"] == (["x87", "SSE", "AVX"] if golden["header"]["xfeatures"] else [])
        assert got["live"] is bool(golden["fpu"]["fpregs_active"])
    times = [hit["time_ns"] for hit in hits]
    assert times == sorted(times)


def test_events_hold_the_golden_backtrace(full: tuple[dict, list[dict], str]) -> None:
    real = {hit["function"]: hit["backtrace"] for hit in GOLDEN["hits"]}
    for hit in full[1]:
        known = real[hit["function"]][1:11]
        known = known[: known.index("entry_SYSCALL_64") + 1]
        assert hit["backtrace"][: len(known)] == known
        assert len(hit["backtrace"]) == 10


def test_events_hold_the_addresses_gdb_prints(full: tuple[dict, list[dict], str]) -> None:
    printed = {int(p): (task, fpu) for p, task, fpu in map(str.split, full[2].splitlines())}
    assert set(printed) == {30, 31, 32, 33}
    for hit in full[1]:
        assert (hit["task"], hit["fpu"]) == printed[hit["pid"]]
        assert int(hit["fpu"], 16) - int(hit["task"], 16) == GOLDEN["offsets"]["fpu"]


def test_pid(kernel44: Path, tmp_path: Path) -> None:
    out = tmp_path / "events"
    pids = (31, 33)
    options = " ".join(f"--pid {pid}" for pid in pids)
    output = trace(
        kernel44, "break finished", f"fpu-trace on {options} --out {out}", "continue",
        "fpu-trace status",
    )  # fmt: skip
    want = [(hit.pid, hit.function) for hit in HITS if hit.pid in pids]
    assert [(hit["pid"], hit["function"]) for hit in events(out)[1]] == want
    assert f"{len(want)} hits of" in output.parts[3]
    assert f"{len(HITS) - len(want)} filtered out" in output.parts[3]


def _again(kernel44: Path, options: str, arguments: str = "lazy replay") -> tuple[str, ...]:
    """Return commands that trace one more run of the program in the same GDB."""
    return ("tbreak ready", f"run {arguments}", f"fpu-trace on {options}", "continue")


def test_one_session_of_many_traces(kernel44: Path) -> None:
    """Each run is a new kernel to attach to; numbers begin again at 1 in each trace."""
    kinds = {
        "--comm x87*": lambda hit: hit.comm == "x87calc",
        "--comm ?org --comm audiod": lambda hit: hit.comm in ("Xorg", "audiod"),
        "--comm XORG": lambda hit: False,
        "--pid 30": lambda hit: hit.pid == 30,
        "--pid 30 --comm a*": lambda hit: False,
        "--probe fpstate_sanitize_xstate": lambda hit: hit.function == "fpstate_sanitize_xstate",
        "--probe copy_fpstate_to_sigframe --pid 0x1f": lambda hit: (
            hit.function == "copy_fpstate_to_sigframe" and hit.pid == 31
        ),
    }
    commands = [command for options in kinds for command in _again(kernel44, options)]
    output = trace(kernel44, "kill", *commands)
    for number, wants in enumerate(kinds.values()):
        lines = hit_lines(output.parts[4 + 4 * number])
        want = [(hit.comm, hit.function) for hit in HITS if wants(hit)]
        assert [(line[2], line[5]) for line in lines] == want
        assert [line[0] for line in lines] == [str(n + 1) for n in range(len(want))]


def test_state_none_and_no_backtrace(kernel44: Path, tmp_path: Path) -> None:
    out = tmp_path / "events"
    output = trace(kernel44, f"fpu-trace on --state none --backtrace 0 --out {out}", "continue")
    lines = hit_lines(output.parts[1])
    assert len(lines) == len(HITS)
    assert {line[6] for line in lines} == {"?"}
    assert {line[8] for line in lines} == {None}
    for got, want in zip(events(out)[1], HITS):
        assert (got["xfeatures"], got["xcomp_bv"], got["components"]) == (None, None, [])
        assert got["backtrace"] == []
        assert "raw" not in got
        assert got["live"] is bool(want.golden["fpu"]["fpregs_active"])


def test_off_and_on_again_keeps_totals(kernel44: Path) -> None:
    output = trace(
        kernel44,
        "break finished",
        "fpu-trace on --limit 5",
        "continue",
        "fpu-trace on --limit 4",
        "continue",
        "fpu-trace on",
        "fpu-trace on",
        "fpu-trace off",
        "fpu-trace off",
        "continue",
        "fpu-trace status",
        "fpu-trace clear",
        "fpu-trace status",
    )
    parts = output.parts
    assert len(hit_lines(parts[2])) == 5
    assert "fpu-trace: limit of 5 hits reached; tracing is off" in parts[2]
    assert [line[0] for line in hit_lines(parts[4])] == ["1", "2", "3", "4"]
    assert parts[6] == "fpu-trace: tracing is on already: say `fpu-trace off` first"
    assert parts[7] == "fpu-trace: off; 9 hits so far"
    assert parts[8] == "fpu-trace: tracing is off; no probe is in the kernel"
    assert hit_lines(parts[9]) == []
    tasks = len({hit.pid for hit in HITS[:9]})
    first, second = parts[10].splitlines()
    assert second == "  of these, in the last trace: 0 hits"
    assert first == f"tracing is off; 9 hits of {tasks} tasks, 0 filtered out; layouts from DWARF"
    assert parts[12] == "tracing is off; 0 hits of 0 tasks, 0 filtered out; layouts from DWARF"


def test_filters_that_nobody_passes(kernel44: Path) -> None:
    output = trace(kernel44, "fpu-trace on --pid 99999 --pid 30 --comm Xo* --comm nobody*")
    notes = [line for line in output.parts[0].splitlines() if "note:" in line]
    assert notes == [
        "fpu-trace: note: no task has pid 99999 now",
        "fpu-trace: note: no task is called 'nobody*' now",
    ]


def test_status_while_on(kernel44: Path, tmp_path: Path) -> None:
    out = tmp_path / "events"
    output = trace(
        kernel44, "break finished", f"fpu-trace on --quiet --out {out}", "continue",
        "fpu-trace status", "fpu-trace clear", "fpu-trace status",
    )  # fmt: skip
    passes = collections.Counter(hit.function for hit in HITS)
    lines = output.parts[3].splitlines()
    assert lines[0] == "tracing is on; 24 hits of 4 tasks, 0 filtered out; layouts from DWARF"
    for line, function in zip(lines[1:3], ("copy_fpstate_to_sigframe", "fpstate_sanitize_xstate")):
        assert line.startswith(f"  {function} at 0x")
        assert line.endswith(f"resumed without a step: passed {passes[function]} times")
    assert lines[3:] == [f"  hits are written to {out}"]
    assert output.parts[5].startswith("tracing is on; 0 hits of 0 tasks")


def test_an_existing_file_is_refused_untouched(kernel44: Path, tmp_path: Path) -> None:
    out = tmp_path / "events"
    out.write_text("mine")
    output = trace(
        kernel44, f"fpu-trace on --out {out}", "fpu-trace status", f"fpu-report --out {out}",
        "fpu-trace on --out /nonexistent/file", "fpu-trace status",
    )  # fmt: skip
    for part, command in ((0, "fpu-trace"), (2, "fpu-report")):
        assert output.parts[part] == (
            f"{command}: {out} exists already: name a new file or remove it"
        )
    assert output.parts[3] == (
        "fpu-trace: cannot write /nonexistent/file: No such file or directory"
    )
    assert "tracing is off" in output.parts[1] and "tracing is off" in output.parts[4]
    assert out.read_text() == "mine"


def test_names_cannot_obey_the_terminal(kernel44: Path, tmp_path: Path) -> None:
    """gdb() fails for any ESC; the name is there, once for each of its hits, and in the file."""
    out = tmp_path / "events"
    output = trace(
        kernel44, "break finished", f"fpu-trace on --out {out}", "continue", "fpu-report",
        "fpu-report --format csv", "fpu-report --format json", arguments="lazy others",
    )  # fmt: skip
    assert [line[2] for line in hit_lines(output.parts[2])].count(EVIL) == 2
    assert [hit["comm"] for hit in events(out)[1]].count(EVIL) == 2
    for part in output.parts[3:5]:
        assert part.count(EVIL) == 1
    assert output.parts[5].count(EVIL.replace("\\", "\\\\")) == 1
    assert "\x07" not in output.text and "\x1b" not in output.text


def test_another_kernel_begins_new_totals(kernel44: Path, compiler) -> None:
    banner = GOLDEN["kernel"].strip().replace("4.4.60", "4.4.61")
    other = compiler(f'-DBANNER="{banner}"')
    output = gdb(
        *started(kernel44), "fpu-trace on --limit 3", "continue", "kill",
        *started(other)[:3], "fpu-report --by probe", "fpu-trace status",
    )  # fmt: skip
    assert "limit of 3 hits" in output.parts[5]
    assert "; 0 hits; lazy switching" in output.parts[10]
    assert (
        output.parts[11] == "tracing is off; 0 hits of 0 tasks, 0 filtered out; layouts from DWARF"
    )


def test_sourcing_again_is_harmless(kernel44: Path) -> None:
    output = trace(kernel44, "fpu-trace on --limit 2", "source gdbfpu", "continue")
    assert len(hit_lines(output.parts[2])) == 2
    assert re.search(r"limit of 2 hits reached", output.parts[2])
