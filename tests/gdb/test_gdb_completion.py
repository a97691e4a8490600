# SPDX-License-Identifier: GPL-2.0-or-later
"""TAB offers the pids and names of the kernel's tasks, and never an error or a line of output."""

from __future__ import annotations

from pathlib import Path

import pytest
from gdb_harness import GOLDEN, gdb, started, trace
from gdb_terminal import Terminal

PIDS = sorted({hit["pid"] for hit in GOLDEN["hits"]})
COMMS = {hit["comm"] for hit in GOLDEN["hits"]}


def _words(part: str, typed: str) -> list[str]:
    """The last words of the lines that `complete` wrote, all of which must begin as typed."""
    before = typed[: typed.rindex(" ") + 1]
    lines = part.splitlines()
    assert all(line.startswith(before) for line in lines), part
    return [line[len(before) :] for line in lines]


def _completed(program: Path, *typed: str) -> list[list[str]]:
    output = trace(program, *(f"complete {text}" for text in typed))
    return [_words(part, text) for part, text in zip(output.parts, typed)]


def test_pids_and_names(kernel44: Path) -> None:
    """Of user tasks, before any command has looked at the kernel. A name is one word."""
    typed = (
        "fpu-trace on --pid ", "fpu-trace on --quiet --pid 30 --pid 3", "fpu-state 30 --diff ",
        "fpu-trace on --comm ", "fpu-state --comm Xo", "fpu-audit --comm ", "fpu-state ",
    )  # fmt: skip
    found = _completed(kernel44, *typed)
    assert set(found[0]) >= {str(pid) for pid in PIDS} | {"1"}
    assert found[1] == [word for word in found[0] if word[0] == "3"]
    assert found[2] == found[0]
    assert set(found[3]) >= COMMS | {"init"}
    assert "kthreadd" not in found[3] and "2" not in found[0]
    assert "?x1b[31mX?xff?xfe?x07?x0a???x09" in found[3]
    assert found[4] == ["Xorg"]
    assert found[5] == found[3]
    assert set(found[6]) >= {*found[0], "current", "--diff"}


def test_the_offered_name_is_taken(kernel44: Path) -> None:
    """Also one that would not be one word."""
    output = trace(kernel44, "fpu-trace on --comm ?x1b[31mX?xff?xfe?x07?x0a???x09", "fpu-trace off")
    assert "no task is called" not in output.parts[0]


def test_without_a_kernel(kernel44: Path) -> None:
    typed = ("fpu-trace on --pid ", "fpu-state --comm ", "fpu-state c")
    output = gdb("source gdbfpu", *(f"complete {text}" for text in typed), f"file {kernel44}",
                 *(f"complete {text}" for text in typed))  # fmt: skip
    for parts in (output.parts[1:4], output.parts[5:8]):
        assert parts == ["", "", "fpu-state current"]


def test_while_the_kernel_runs(kernel44: Path) -> None:
    """Those of the totals are known even then."""
    output = gdb(
        *started(kernel44, "lazy loop 100 200000"), "fpu-trace on --limit 2 --quiet", "continue",
        "fpu-report", "continue &", "complete fpu-trace on --pid ", "shell sleep 0.1",
    )  # fmt: skip
    hit = [line.split()[1] for line in output.parts[6].splitlines() if " yes  " in line]
    assert 0 < len(_words(output.parts[8], "fpu-trace on --pid ")) <= len(hit)


def test_another_kernel_and_none(kernel44: Path) -> None:
    """The tasks of a kernel that is gone are not offered."""
    output = trace(kernel44, "complete fpu-state 3", "kill", "complete fpu-state 3",
                   "tbreak ready", "run lazy replay", "complete fpu-state 3")  # fmt: skip
    assert output.parts[0] == output.parts[5] != ""
    assert output.parts[2] == ""


def test_a_large_vmlinux_is_left_to_a_command(kernel44: Path, tmp_path: Path) -> None:
    """To read its types takes seconds; they are in the cache, or a command has read them."""
    large = tmp_path / "vmlinux"
    large.write_bytes(kernel44.read_bytes())
    large.chmod(0o755)
    with large.open("ab") as file:
        file.truncate(9 << 20)
    asked = "complete fpu-trace on --comm X"
    output = trace(large, asked, "fpu-report", asked)
    assert (output.parts[0], output.parts[2]) == ("", "fpu-trace on --comm Xorg")


# A line so slow that a walk over the tasks takes seconds: each read takes 0.1 s.
SLOW = """python
import time
from gdbfpu.dbg.target import GdbTarget
read = GdbTarget.read_memory
def slow(self, address, length):
    time.sleep(0.1)
    return read(self, address, length)
GdbTarget.read_memory = slow
def timed():
    start = time.monotonic()
    words = gdb.execute("complete fpu-trace on --pid 3", False, True).split("\\n")[:-1]
    print(round(time.monotonic() - start, 1), len(words))
end
"""


@pytest.mark.parametrize("before", ["echo", "fpu-trace on --quiet --limit 15"])
def test_a_slow_line(kernel44: Path, tmp_path: Path, before: str) -> None:
    """A TAB takes some tenths of a second, the next goes on; a trace's tasks are there at once."""
    script = tmp_path / "slow.gdb"
    script.write_text(SLOW)
    asked = "python timed()"
    output = trace(
        kernel44, "fpu-info", before, "continue" if "trace" in before else "echo",
        "fpu-trace off", f"source {script}", *[asked] * 9,
    )  # fmt: skip
    seen = [[float(number) for number in part.split()] for part in output.parts[5:14]]
    assert all(seconds <= 0.6 for seconds, _ in seen)
    counts = [count for _, count in seen]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] == 10
    assert (counts[0] >= 4) is ("trace" in before)


def test_corrupt_lists_offer_what_they_have(kernel44: Path) -> None:
    """A list of tasks that leads nowhere: nothing is said, and the trace's tasks are there."""
    output = trace(
        kernel44, "set var init_task.tasks.next = 0x10", "complete fpu-state 3",
        "complete fpu-trace on --comm ", "complete fpu-trace on --comm ",
    )  # fmt: skip
    assert output.parts[1] == ""
    assert output.parts[2] == output.parts[3]


def test_tab(terminal: Terminal, kernel44: Path) -> None:
    terminal(*started(kernel44))
    terminal.gdb.send("fpu-state --comm au\t")
    terminal.gdb.expect_exact("fpu-state --comm audiod")
    terminal.gdb.sendline()
    terminal.gdb.expect_exact("task       audiod (pid ")
