# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the text of a command goes decides about colour and width; GDB's pager works."""

from __future__ import annotations

from pathlib import Path

import pytest
from gdb_harness import gdb, hit_lines, started, trace
from gdb_terminal import PROMPT, Terminal

SMALL = {"screen": (24, 80)}
PAGER = "--Type <RET> for more"
WIDE = 100  # columns that a row of the report has if it is not cut


def _widest(text: str) -> int:
    return max(len(line) for line in text.splitlines())


@pytest.mark.parametrize("terminal", [SMALL], indirect=True)
def test_where_the_terminal_ends(terminal: Terminal, kernel44: Path, tmp_path: Path) -> None:
    """A pipe and a file get all columns and no colour, the terminal has both."""
    log, piped = tmp_path / "log", tmp_path / "piped"
    terminal("set pagination off", *started(kernel44))
    assert "\x1b[" in terminal("fpu-report")
    terminal(f"pipe fpu-report | cat > {piped}")
    told = terminal(f"set logging file {log}", "set logging enabled on", "fpu-report")
    assert "\x1b[" in told
    terminal("set logging enabled off")
    logged = log.read_text()
    terminal("set logging overwrite on", "set logging redirect on", "set logging enabled on")
    assert terminal("fpu-report") == ""
    terminal("set logging enabled off")
    for text in (piped.read_text(), log.read_text()):
        assert " Xorg " in text and "\x1b" not in text
        assert _widest(text) >= WIDE
    assert " Xorg " in logged and "\x1b" not in logged
    assert _widest(logged) <= 80


@pytest.mark.parametrize("terminal", [SMALL], indirect=True)
def test_settings_of_colour(terminal: Terminal, kernel44: Path, tmp_path: Path) -> None:
    """As GDB's style says, unless `set fpu colour` says on or off.

    Newer GDBs let no colour of anybody through after `set style enabled off`.
    """
    piped = tmp_path / "piped"
    terminal("set pagination off", *started(kernel44))
    assert "\x1b[" not in terminal("set style enabled off", "fpu-report")
    assert "\x1b[" in terminal("set style enabled on", "fpu-report")
    assert "\x1b[" not in terminal("set fpu colour off", "fpu-report")
    assert "\x1b[" in terminal("set fpu colour on", "fpu-report")
    terminal(f"pipe fpu-report | cat > {piped}")
    assert "\x1b[" in piped.read_text()
    assert _widest(piped.read_text()) >= WIDE


RUN = "python from gdbfpu.dbg.terminal import run_kernel as run; run()"


def test_what_is_said_while_gdbfpu_runs_the_kernel(kernel44: Path) -> None:
    """The lines of its hits, and why it stopped, but nothing of GDB's own."""
    output = trace(kernel44, "fpu-trace on --limit 3", RUN)
    *hits, last = output.parts[1].splitlines()
    assert last == "fpu-trace: limit of 3 hits reached; tracing is off"
    assert len(hit_lines("\n".join(hits))) == len(hits) == 3


def test_waiting_is_said_at_once(terminal: Terminal) -> None:
    """Not when the kernel has stopped: here a program ends after a minute."""
    terminal("set startup-with-shell off", "file /bin/sleep", "starti 60", "source gdbfpu")
    wait = "with __import__('gdbfpu.dbg.waiting').dbg.waiting.waiting('a task')"
    terminal.gdb.sendline(RUN.replace("; run()", f'; exec("{wait}: run()")'))
    terminal.gdb.expect_exact("fpu-trace: waiting for a task ...\r\n")
    terminal.gdb.sendintr()
    terminal.gdb.expect(PROMPT)


def test_no_colour_in_batch_mode(kernel44: Path) -> None:
    """Nor in a string."""
    kept = "python print(gdb.execute('fpu-report', True, True))"
    output = gdb(*started(kernel44), "fpu-report", kept)  # the harness refuses any escape
    assert output.parts[4] == output.parts[5]
    assert " Xorg " in output.parts[4]


@pytest.mark.parametrize("terminal", [SMALL], indirect=True)
def test_the_pager(terminal: Terminal, kernel44: Path) -> None:
    """It holds a long report, ends it at `q`, and is back after a trace, which has none."""
    terminal("set height 6", *started(kernel44))
    for _ in range(2):
        terminal.gdb.sendline("fpu-report")
        terminal.gdb.expect_exact(PAGER)
        terminal.gdb.sendline("q")
        terminal.gdb.expect_exact("Quit")
        terminal.gdb.expect(PROMPT)
        terminal.gdb.sendline("fpu-trace on --limit 9")
        terminal.gdb.expect([PAGER, PROMPT])
        if PAGER in terminal.gdb.after:
            terminal.gdb.sendline("c")
            terminal.gdb.expect(PROMPT)
        assert len(hit_lines(terminal("set width 200", "continue"))) == 9
        terminal("set width 80")


def test_hits_through_a_pipe(terminal: Terminal, kernel44: Path, tmp_path: Path) -> None:
    piped = tmp_path / "piped"
    terminal(*started(kernel44), "set width 80", "fpu-trace on --limit 9")
    terminal(f"pipe continue | cat > {piped}")
    assert len(hit_lines(piped.read_text())) == 9
    assert "limit of 9 hits reached" in piped.read_text()
