# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person at an ordinary terminal sees when a trace stops the kernel."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest
from gdb_harness import started, trace
from gdb_terminal import Terminal

SMALL = pytest.mark.parametrize("terminal", [{"screen": (24, 80)}], indirect=True)


@SMALL
def test_the_limit(terminal: Terminal, kernel44: Path) -> None:
    """No pager, nothing of GDB's own; `--limit` says last that tracing is off."""
    terminal(*started(kernel44), "fpu-trace on --limit 23")
    shown = terminal("continue")
    lines = [line.rstrip() for line in shown.splitlines() if line.strip()]
    assert lines[-1] == "fpu-trace: limit of 23 hits reached; tracing is off"
    assert "Type <RET>" not in shown and "Breakpoint" not in shown and "kernel44.c" not in shown
    assert "is on." in terminal("show pagination")


@SMALL
def test_interrupted(terminal: Terminal, kernel44: Path) -> None:
    """A ^C, wherever it comes, is followed by what became of the trace."""
    terminal(*started(kernel44, "lazy loop 100000 100"), "fpu-trace on --quiet --state none")
    for _ in range(5):
        terminal.gdb.sendline("continue")
        terminal.gdb.expect_exact("Continuing.")
        time.sleep(0.3)  # until it runs: before that, a ^C ends the command instead
        os.kill(terminal.gdb.pid, signal.SIGINT)
        terminal.gdb.expect(r"fpu-trace: interrupted: (\d+) hits?, tracing is on\r\n")
        terminal.gdb.expect(r"\(gdb\) $")
        hits = int(terminal("python print(sum(p.passes for p in __import__('gdbfpu.dbg.session')"
            ".dbg.session.session().breakpoints))"))  # fmt: skip
    assert hits > 0


def test_a_breakpoint_of_the_persons_own(kernel44: Path) -> None:
    """GDB tells of it; gdbfpu has nothing to add."""
    output = trace(kernel44, "break do_signal", "fpu-trace on", "continue")
    assert re.search(r"hit Breakpoint \d+, do_signal", output.parts[2])
    assert "fpu-trace:" not in output.parts[2]
