# SPDX-License-Identifier: GPL-2.0-or-later
"""The live table of a booted kernel, on a terminal (tmux) of 80x24, over both stubs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from gdb_tmux import Screen, Tmux, at_prompt

from qemu.guest import image
from qemu.kernels import Kernel
from qemu.vm import Machine
from tests.vm.gdbrun import events

PROGRAMS = ("audiod", "x87calc", "mmxplay")
LIMIT = 200
COLUMNS = ("hits/s", "task", "pid", "function", "components", "live", "caller")
TOTAL = re.compile(r"([0-9.]+) hits/s over [0-9.]+ s; until \d\d:\d\d:\d\d; (\d+) hits; .*")

Row = dict[str, str]


@pytest.fixture
def guest(kernel: Kernel, machine: Callable[..., Machine]) -> Machine:
    """Return a kernel on which three programs take a signal every 10 ms."""
    booted = machine(image.test_image())
    booted.run(" ".join(f"{name} &" for name in PROGRAMS), 30.0)
    return booted


@pytest.fixture
def tmux(guest: Machine, kernel: Kernel, stub: str, tmp_path: Path) -> Iterator[Tmux]:
    """Return a GDB in tmux that is attached to the kernel over `stub`."""
    if stub == "kgdb":
        guest.break_in()
    socket = guest.kgdb if stub == "kgdb" else guest.gdbstub
    made = Tmux(tmp_path, [str(kernel.vmlinux), "-ex", f"target remote {socket}"])
    yield made
    made.close()


def table(lines: Screen) -> tuple[float, int, list[Row]] | None:
    """Return the rate, the hits and the rows of the table on a screen, None if there is none."""
    found = [(at, match) for at, line in enumerate(lines) if (match := TOTAL.fullmatch(line))]
    if not found:
        return None
    [(top, total)] = found
    heading = lines[top + 1]
    assert heading.split() == list(COLUMNS)
    ends = {name: heading.index(name) + len(name) for name in ("hits/s", "pid", "live")}
    begins = {name: heading.index(name) for name in COLUMNS if name not in ends}
    rows = []
    for line in lines[top + 2 :]:
        if re.match(r" +[0-9.]+ [a-z]", line):
            cells = {name: line[:end].split()[-1] for name, end in ends.items()}
            cells |= {name: line[begin:].split()[0] for name, begin in begins.items()}
            rows.append(cells)
    return float(total[1]), int(total[2]), rows


@pytest.mark.parametrize("stub", ["kgdb", "qemu"])
def test_the_table(tmux: Tmux, stub: str, tmp_path: Path) -> None:
    """It is redrawn in place, and in the end it has what the event file has."""
    out = tmp_path / "events"
    limit = f"--limit {LIMIT}" if stub == "kgdb" else ""
    tmux.type("source gdbfpu", f"fpu-trace on --top --out {out} {limit}".rstrip())
    tmux.enter("continue")
    first, later = (redrawn(tmux, least) for least in (20, 60))
    assert len(first) == len(later) == 24
    last = interrupted(tmux) if stub == "qemu" else tmux.wait(at_prompt)
    check(last, events(out)[1])
    end = "limit of 200 hits reached" if stub == "kgdb" else "interrupted: "
    assert any(line.startswith(f"fpu-trace: {end}") for line in last)
    assert tmux.type("print 6 * 7", "fpu-trace off")[-1] == "(gdb)"
    assert sum(bool(TOTAL.fullmatch(line)) for line in tmux.all()) == 1


def redrawn(tmux: Tmux, least: int) -> Screen:
    """Return the screen when there are `least` hits; the rates of the rows add up."""
    lines = tmux.wait(lambda lines: (found := table(lines)) and found[1] >= least)
    rate, _, rows = table(lines)
    assert abs(sum(float(row["hits/s"]) for row in rows) - rate) < 0.05 * (len(rows) + 1)
    return lines


def interrupted(tmux: Tmux) -> Screen:
    """Press ^C until the kernel stops: QEMU misses one that comes just as it stops at a hit."""
    for _ in range(20):
        tmux.keys("C-c")
        with suppress(AssertionError):
            return tmux.wait(at_prompt, 3.0)
    raise AssertionError("the kernel does not stop")


def check(lines: Screen, hits: list[dict]) -> None:
    """The last table is whole, and says of each task what its hits say."""
    _, count, rows = table(lines)
    assert count == len(hits)
    assert set(PROGRAMS) <= {row["task"] for row in rows}
    pairs = Counter((hit["pid"], hit["function"]) for hit in hits)
    assert len(rows) == len(pairs)
    for row in rows:
        own = [
            hit for hit in hits
            if hit["pid"] == int(row["pid"]) and hit["function"].startswith(row["function"][:-1])
        ]  # fmt: skip
        assert own[-1]["comm"] == row["task"]
        assert row["live"] == f"{100 * sum(hit['live'] for hit in own) // len(own)}%"
        names = {name for hit in own for name in hit["components"]}
        assert row["components"].split("|")[0] in names or (names, row["components"]) == (
            set(),
            "-",
        )
        assert own[-1]["backtrace"][0].startswith(row["caller"].rstrip("~"))
