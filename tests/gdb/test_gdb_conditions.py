# SPDX-License-Identifier: GPL-2.0-or-later
"""`fpu-trace on --if EXPR` and `--stop`: what GDB's own condition gives, without its step."""

from __future__ import annotations

import re
from pathlib import Path

from gdb_harness import events, expected_hits, hit_lines, probe_breakpoints, trace

HITS = expected_hits()


def test_a_condition(kernel44: Path, tmp_path: Path) -> None:
    """A register, a function of gdbfpu's, an argument by its name: other hits leave no trace."""
    out = tmp_path / "events"
    output = trace(
        kernel44, "break finished", f"fpu-trace on --out {out} --if '$fpu_task()->pid == 31'",
        "continue", "fpu-trace status",
    )  # fmt: skip
    want = [(hit.pid, hit.function) for hit in HITS if hit.pid == 31]
    assert [(hit["pid"], hit["function"]) for hit in events(out)[1]] == want
    assert f"{len(HITS) - len(want)} filtered out" in output.parts[3]
    assert "not recorded" not in output.parts[3]
    output = trace(
        kernel44, "fpu-trace on --probe copy_fpstate_to_sigframe --if 'size == 836 && $rdi == buf'",
        "continue",
    )  # fmt: skip
    assert len(hit_lines(output.parts[1])) == 16


def test_a_condition_that_is_none(kernel44: Path) -> None:
    """What cannot be parsed is refused, what cannot be evaluated counted."""
    output = trace(
        kernel44, "break finished", "fpu-trace on --if '1 +'", "fpu-trace on --if nosuch",
        "maint info breakpoints", "fpu-trace on --if '*(int *)0 == 1'", "continue",
        "fpu-trace status",
    )  # fmt: skip
    assert output.parts[1].startswith("fpu-trace: --if 1 +: A syntax error in expression")
    assert output.parts[2].startswith('fpu-trace: --if nosuch: No symbol "nosuch" in current')
    assert probe_breakpoints(output.parts[3]) == []
    assert (
        "not recorded: 24 times MemoryError: Cannot access memory at address 0x0"
        in (output.parts[6])
    )


def test_stop(kernel44: Path) -> None:
    """The kernel stays at each hit that is recorded, and goes on from there."""
    output = trace(
        kernel44, "fpu-trace on --stop --pid 30 --limit 3", "continue", "output $fpu_task()->pid",
        "continue", "bt 1", "continue", "continue",
    )  # fmt: skip
    for part, number in ((1, 1), (3, 2)):
        assert len(hit_lines(output.parts[part])) == 1
        assert output.parts[part].splitlines()[-1] == (
            f"fpu-trace: stopped at hit {number}; tracing is on. `continue` resumes the kernel"
        )
    assert output.parts[2] == "30"
    assert re.match(r"#0 .*fpstate_sanitize_xstate", output.parts[4])
    assert "limit of 3 hits reached; tracing is off" in output.parts[5]
    assert "wrong=0" in output.parts[6]


def test_a_pid_is_no_address(kernel44: Path) -> None:
    output = trace(kernel44, 'output $fpu_reg(30, "fcw")', "output $fpu_live(4194303)")
    assert output.parts[0].startswith("$fpu_reg: 30 is not the address of a task_struct: use")
    assert output.parts[1].startswith("$fpu_live: 4194303 is not the address")


def test_a_condition_over_kgdb_is_warned_of(kernel44: Path) -> None:
    """Here there is no KGDB: its stub is put in the place of the program's."""
    kgdb = (
        "python from gdbfpu.dbg.session import session; from gdbfpu.kernel.stubs import KGDB; "
        "session().model.kernel.target.stub = KGDB"
    )
    warned = "break do_signal if $fpu_task()->pid == 30"
    output = trace(
        kernel44, warned, "fpu-trace status", "fpu-info --format json", kgdb, warned,
        "tbreak do_signal if 1 == 2", "condition 3 $fpu_live($fpu_task())",
    )  # fmt: skip
    assert "warning" not in output.parts[0]
    assert "Over KGDB with " in output.parts[4]
    assert "fpu-trace on --stop --if '$fpu_task()->pid == 30'" in output.parts[4]
    assert "warning" not in output.parts[5]
    assert "fpu-trace on --stop --if '$fpu_live($fpu_task())'" in output.parts[6]
