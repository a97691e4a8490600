# SPDX-License-Identifier: GPL-2.0-or-later
"""How a trace ends: no breakpoint stays, the event file is whole, the program goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from gdb_harness import (
    DEADLINE,
    events,
    finish,
    hit_lines,
    probe_breakpoints,
    start,
    started,
    trace,
)  # fmt: skip

# The bytes of the probed functions as the CPU fetches them, not as GDB shows them: GDB hides
# its breakpoints from `x`. Written by GDB's Python, read from the program's own memory.
CODE = (
    "python m = open(f'/proc/{gdb.selected_inferior().pid}/mem', 'rb'); "
    "m.seek(int(gdb.parse_and_eval('(long)&fpstate_sanitize_xstate'))); print(m.read(400).hex()); "
    "m.close()"
)


def test_int3_while_on_and_never_after(kernel44: Path) -> None:
    """`always-inserted` keeps the breakpoints in memory while the program is stopped."""
    output = trace(
        kernel44, "set breakpoint always-inserted on", CODE, "fpu-trace on", CODE,
        "maint info breakpoints", "fpu-trace off", CODE, "maint info breakpoints",
        "fpu-trace on --limit 2", "continue", CODE, "maint info breakpoints", "continue",
    )  # fmt: skip
    clean = output.parts[1]
    assert len(clean) == 800
    planted = output.parts[3]
    differ = [i for i in range(0, 800, 2) if clean[i : i + 2] != planted[i : i + 2]]
    assert [planted[i : i + 2] for i in differ] == ["cc", "cc"]
    assert sorted(probe_breakpoints(output.parts[4])) == [
        "copy_fpstate_to_sigframe", "fpstate_sanitize_xstate"
    ]  # fmt: skip
    assert output.parts[6] == clean
    assert probe_breakpoints(output.parts[7]) == []
    assert "limit of 2 hits reached" in output.parts[9]
    assert output.parts[10] == clean
    assert probe_breakpoints(output.parts[11]) == []
    assert "wrong=0" in output.parts[12]


def test_detach(kernel44: Path, tmp_path: Path) -> None:
    """The program runs on alone, through all deliveries, after GDB let go of it."""
    out = tmp_path / "events"
    output = trace(
        kernel44,
        f"fpu-trace on --out {out}",
        "tbreak do_signal",
        "continue",
        "detach",
        "fpu-trace status",
        "shell sleep 1",
        arguments="lazy loop 20 1000",
    )
    assert "fpu-trace: off; 0 hits so far" in output.parts[3]
    assert output.parts[4].startswith("tracing is off")
    assert "guest: copies=20 sanitized=20 wrong=0" in output.text
    header, hits = events(out)
    assert header["schema"] == 1 and hits == []


@pytest.mark.parametrize("end", ["kill", "quit", "detach"])
def test_the_file_is_whole(kernel44: Path, tmp_path: Path, end: str) -> None:
    out = tmp_path / "events"
    output = trace(
        kernel44, f"fpu-trace on --out {out}", "tbreak syscall_return_slowpath",
        "ignore $bpnum 3", "continue", end, "fpu-trace status",
        arguments="lazy loop 5 0",
    )  # fmt: skip
    assert [hit["function"] for hit in events(out)[1]] == [
        "copy_fpstate_to_sigframe", "fpstate_sanitize_xstate",
    ] * 3  # fmt: skip
    if end != "quit":
        # A detached program writes among GDB's lines.
        assert "\ntracing is off; 6 hits of 1 task" in output.text


def test_the_program_ends_and_runs_again(kernel44: Path) -> None:
    output = trace(
        kernel44, "fpu-trace on --quiet", "continue", "fpu-trace status", "fpu-report",
        "tbreak ready", "run", "fpu-trace on", "continue", "fpu-trace status",
    )  # fmt: skip
    assert "exited normally" in output.parts[1]
    assert "fpu-trace: the kernel is gone; tracing is off" in output.parts[1]
    assert output.parts[2].startswith("tracing is off; 24 hits of 4 tasks")
    assert output.parts[3].startswith("fpu-report: no kernel to look at")
    assert len(hit_lines(output.parts[7])) == 24
    assert output.parts[8].startswith("tracing is off; 48 hits of 4 tasks")


def test_the_program_dies_at_a_hit(kernel44: Path, tmp_path: Path) -> None:
    """SIGKILL from outside while hits come in: GDB says so, the file is whole.

    It comes between two deliveries; during one, GDB 13 can fail to find the thread.
    """
    out = tmp_path / "events"
    output = trace(
        kernel44,
        f"fpu-trace on --quiet --out {out}",
        "python import os, signal, threading",
        "python pid = gdb.selected_inferior().pid",
        "python threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()",
        "continue",
        "fpu-trace status",
        arguments="lazy loop 1000000 100000",
    )
    assert "Program terminated with signal SIGKILL" in output.parts[4]
    assert "fpu-trace: the kernel is gone; tracing is off" in output.parts[4]
    count = len(events(out)[1])
    assert count > 3
    assert output.parts[5].startswith(f"tracing is off; {count} hits of 1 task")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_gdb_dies(kernel44: Path, tmp_path: Path, number: signal.Signals) -> None:
    """However GDB is ended, what is in the file is whole lines, without a gap."""
    out = tmp_path / "events"
    process = start(
        *started(kernel44, "lazy loop 1000000 100"), f"fpu-trace on --quiet --out {out}", "continue"
    )
    try:
        _wait_for(lambda: out.exists() and out.read_bytes().count(b"\n") > 20)
    finally:
        os.kill(process.pid, number)
        finish(process)
    assert len(events(out)[1]) >= 20


def _wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
