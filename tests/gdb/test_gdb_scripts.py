# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts count on: $_fpu_hits, $_fpu_errors, and the status with which GDB ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from gdb_harness import Compiler, gdb, hit_lines, started, trace

COUNTS = 'printf "%d %d\\n", $_fpu_hits, $_fpu_errors'


def test_counters_follow_the_trace(kernel44: Path, compiler: Compiler) -> None:
    """From the beginning, at each hit, after a `clear`, and for another kernel."""
    other = compiler('-DBANNER="Linux version 4.4.61 (another)"')
    output = trace(
        kernel44, COUNTS, "fpu-trace on --limit 5", "continue", COUNTS, "whatis $_fpu_hits",
        "fpu-trace on --stop --quiet", "continue", COUNTS, "fpu-trace clear", COUNTS,
        "continue", "source gdbfpu", COUNTS, "fpu-trace off", "kill", f"file {other}",
        "tbreak ready", "run lazy replay", "fpu-report", COUNTS,
    )  # fmt: skip
    assert output.parts[0] == "0 0"
    assert len(hit_lines(output.parts[2])) == 5
    assert output.parts[3] == "5 0"
    assert output.parts[4] == "type = long long"
    assert [output.parts[n] for n in (7, 9, 12)] == ["6 0", "0 0", "1 0"]
    assert output.parts[-2] == "0 0"


def test_a_condition_sees_the_counter(kernel44: Path) -> None:
    """In the middle of a hit: those before it."""
    output = trace(kernel44, "fpu-trace on --if '$_fpu_hits < 3'", "continue", COUNTS)
    assert len(hit_lines(output.parts[1])) == 3
    assert output.parts[2] == "3 0"


def test_errors_are_counted(kernel44: Path) -> None:
    output = trace(
        kernel44, "fpu-trace on --quiet --if '*(int *) 0 == 1'", "continue", COUNTS,
        "fpu-trace status",
    )  # fmt: skip
    assert output.parts[2] == "0 24"
    assert "not recorded: 24 times MemoryError: Cannot access memory" in output.parts[3]


# What GDB is told, how the last command ends, and the status of the whole.
ENDINGS = {
    "clean": (("fpu-audit 30 --fail",), 0),
    "incomplete": (("fpu-audit --all --fail",), 3),
    "incomplete, without --fail": (("fpu-audit --all",), 0),
    "findings": (("fpu-audit 30 --fail --inject XCOMP --laboratory",), 3),
    "a clean one afterwards": (("fpu-audit --all --fail", "fpu-audit 30 --fail", "kill"), 3),
    "twice": (("fpu-audit --all --fail", "fpu-audit --all --fail"), 3),
    "no such task": (("fpu-audit 99999 --fail", "echo"), 3),
    "no kernel": (("kill", "fpu-audit --all --fail", "echo"), 3),
    "the user's own status": (("fpu-audit --all --fail", "quit 7"), 7),
    "in another language": (
        ("set language ada", "set input-radix 2", "fpu-audit --all --fail", "echo"),
        3,
    ),
}


@pytest.mark.parametrize("case", ENDINGS)
def test_the_status_of_gdb(kernel44: Path, case: str) -> None:
    """Where the commands behind the audit went well, too, and with a program that still runs."""
    commands, status = ENDINGS[case]
    output = gdb(*started(kernel44), *commands)
    assert output.status == status, output.text


def test_what_fails_says_why(kernel44: Path, tmp_path: Path) -> None:
    """After the audit itself, which is written as without --fail."""
    out = tmp_path / "audit"
    output = trace(
        kernel44, "fpu-audit --all", "fpu-audit --all --fail",
        f"fpu-audit --all --fail --out {out}", "fpu-audit --map --fail",
    )  # fmt: skip
    said = "fpu-audit: --fail: the verdict is `incomplete`"
    assert sorted(output.parts[1].splitlines()) == sorted([*output.parts[0].splitlines(), said])
    assert output.parts[2] == said
    assert out.read_text().rstrip("\n").splitlines()[-1] == output.parts[0].splitlines()[-1]
    assert output.parts[3].startswith("fpu-audit: --map and --fail cannot be combined")
    assert output.status == 3
