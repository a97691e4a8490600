# SPDX-License-Identifier: GPL-2.0-or-later
"""What needs a terminal: colour, completion with TAB, and ^C while hits come in."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from pathlib import Path

import pytest
from gdb_harness import gdb, started
from gdb_terminal import PROMPT, Terminal


def test_colour_on_a_terminal(terminal: Terminal, kernel44: Path) -> None:
    report = terminal(*started(kernel44), "fpu-report")
    assert "\x1b[" in report
    row = next(line for line in report.splitlines() if " Xorg " in line)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", row)
    assert plain.split()[:5] == ["-", "30", "30", "Xorg", "yes"]
    assert not re.search(r"\x1b(?!\[[0-9;]*m)", report)
    assert "\x1b" not in terminal("fpu-report --format csv")
    assert "\x1b[" in terminal("fpu-report --format json")
    assert "\x1b" not in terminal("pipe fpu-report --format json | cat")


@pytest.mark.parametrize("terminal", [{"NO_COLOR": "1"}], indirect=True)
def test_no_color(terminal: Terminal, kernel44: Path) -> None:
    report = terminal(*started(kernel44), "fpu-report")
    assert " Xorg " in report
    assert "\x1b" not in report


def test_tab(terminal: Terminal) -> None:
    terminal("source gdbfpu")
    terminal.gdb.send("fpu-trace on --probe fpstate_s\t")
    terminal.gdb.expect_exact("fpu-trace on --probe fpstate_sanitize_xstate")
    terminal.gdb.sendline()
    terminal.gdb.expect_exact("no kernel to look at")


COMPLETIONS = {
    "fpu-trace o": ["on", "off"],
    "fpu-trace s": ["status"],
    "fpu-trace on --p": ["--pid", "--probe"],
    "fpu-trace on --state ": ["none", "header", "full"],
    "fpu-trace on --probe copy_fps": ["copy_fpstate_to_sigframe"],
    "fpu-trace off --": ["--help"],
    "set fpu ": ["backtrace", "colour", "from-cpu", "limit", "quiet", "state"],
    "set fpu state ": ["none", "header", "full"],
    "set fpu colour ": ["auto", "on", "off"],
    "show fpu q": ["quiet"],
    "fpu-report --by ": ["task", "probe", "path"],
    "fpu-report --sort ": [
        *("hits", "pid", "name", "thread", "cpu", "first", "last"),
        *("tgid", "components", "live", "memory", "findings"),
    ],
    "fpu-report --format c": ["csv"],
    "fpu-report --out ": [],
}


def test_completion() -> None:
    output = gdb("source gdbfpu", *(f"complete {typed}" for typed in COMPLETIONS))
    for part, (typed, words) in zip(output.parts[1:], COMPLETIONS.items()):
        before = typed[: typed.rindex(" ") + 1]
        assert sorted(part.splitlines()) == sorted(before + word for word in words)


# GDB 16 asks for words before it knows where they break, and then gives None for the word.
UNBROKEN = """python
import gc
commands = [c for c in gc.get_objects() if isinstance(c, gdb.Command) and hasattr(c, "_parser")]
[command] = [c for c in commands if c._parser.prog == "fpu-trace on"]
print(command.complete("--st", None), command.complete("--sta", "sta"))
end
"""


def test_completion_before_words_are_known(tmp_path: Path) -> None:
    script = tmp_path / "unbroken.gdb"
    script.write_text(UNBROKEN)
    output = gdb("source gdbfpu", f"source {script}")
    assert output.parts[1] == "['--state', '--step', '--stop'] ['state']"


@pytest.mark.parametrize("shown", ["--quiet", "--top"])
def test_interrupts_lose_nothing(terminal: Terminal, kernel44: Path, shown: str) -> None:
    """GDB gets SIGINT at random moments between and inside of hits: none is lost, none stepped."""
    terminal(
        "set inferior-tty /dev/null", *started(kernel44, "lazy loop 100000 0"),
        f"fpu-trace on {shown} --state none",
    )  # fmt: skip
    moments = random.Random(44)
    for _ in range(40):
        terminal.gdb.sendline("continue")
        terminal.gdb.expect_exact("Continuing.")
        time.sleep(moments.uniform(0.01, 0.03))
        os.kill(terminal.gdb.pid, signal.SIGINT)
        terminal.gdb.expect(PROMPT)
        assert "Python Exception" not in terminal.gdb.before
        assert "Traceback" not in terminal.gdb.before
    status = terminal("fpu-trace status")
    passes = [int(n) for n in re.findall(r"passed (\d+) times", status)]
    recorded = int(re.search(r"tracing is on; (\d+) hits of 1 task", status)[1])
    assert "not recorded" not in status
    assert recorded == sum(passes) > 40
    # Where it stopped the last time: behind the probe's instruction, before the count or not.
    copies, sanitized = (int(terminal(f"output {n}")) for n in ("copies", "sanitized"))
    assert 0 <= passes[0] - copies <= 1
    assert 0 <= passes[1] - sanitized <= 1
    assert terminal("output wrong").strip() == "0"
