# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever is printed fits the terminal's 80 columns; what goes elsewhere is neither cut nor
coloured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from gdb_harness import started
from gdb_terminal import Terminal

WIDTH = 80
SMALL = pytest.mark.parametrize("terminal", [{"screen": (24, WIDTH)}], indirect=True)
COMMANDS = (
    "fpu-trace status", "fpu-trace off", "fpu-trace probes", "fpu-info", "fpu-report",
    "fpu-report --by path", "fpu-report --by probe", "fpu-state 30", "fpu-state 30 --raw",
    "fpu-state 30 --diff 31", "fpu-audit 30 --map", "fpu-audit --all",
)  # fmt: skip


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@SMALL
@pytest.mark.parametrize("backtrace", [1, 12])
def test_eighty_columns(terminal: Terminal, kernel44: Path, backtrace: int) -> None:
    terminal("set height 0", *started(kernel44), "break finished")
    shown = terminal(f"fpu-trace on --backtrace {backtrace}") + terminal("continue")
    shown += "".join(terminal(command) for command in COMMANDS)
    lines = plain(shown).splitlines()
    wide = [line for line in lines if len(line) > WIDTH and "Thread" not in line]
    assert wide == []
    assert "Error" not in shown and "fpu-trace: " in shown
    assert sum("left out, to fit 80 columns" in line for line in lines) >= 2
    assert (
        sum(bool(re.match(r" +\d+ (Xorg|audiod|mmxplay|x87calc) ", line)) for line in lines) >= 24
    )


@SMALL
def test_elsewhere(terminal: Terminal, kernel44: Path, tmp_path: Path) -> None:
    """Through `pipe`, into a string, without styling: no colour; and nothing is left out."""
    out = tmp_path / "out"
    terminal("set height 0", *started(kernel44), "fpu-trace on --limit 9", "continue")
    assert "\x1b[" in terminal("fpu-report")
    terminal(f"pipe fpu-report | cat > {out}")
    terminal("python text = gdb.execute('fpu-report', True, True)")
    string = terminal("python print(repr(text))").replace("\r\n", "")
    for text in (out.read_text(), string):
        assert "\x1b" not in text and "\\x1b[01m" not in text
        assert "tgid" in text and "first" in text and "left out" not in text
    terminal("set style enabled off")
    assert "\x1b[" not in terminal("fpu-report")
    terminal("set width 0")
    assert "left out" not in terminal("fpu-report")
