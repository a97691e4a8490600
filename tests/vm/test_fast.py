# SPDX-License-Identifier: GPL-2.0-or-later
"""Fast traces of a booted kernel over both stubs: no pass lost, and the kernel as it was after."""

from __future__ import annotations

import contextlib
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qemu.console import PROMPT
from qemu.errors import MachineLost
from qemu.guest import image
from qemu.kernels import Kernel
from qemu.vm import Machine
from tests.vm.gdbrun import GdbRun, events
from tests.vm.oracle import switching

BOOT = 120.0
SAVE = "copy_fpstate_to_sigframe"
PROGRAMS = 4
SIGNALS = 20_000  # of each program
FEW = 600  # the records of a ring go over the wire, some hundreds a second over KGDB
CYCLES = 3
KILLED = 2
READY = "fpu-test: ready"
STUBS = ("kgdb", "qemu")


@pytest.fixture
def guest(
    kernel: Kernel, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machine]:
    """The kernel, its CPUs running at the same time; journals go to the test's own directory."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with Machine(kernel.bzimage, image.test_image(), cpu=model, parallel=True) as machine:
        machine.boot(PROMPT, BOOT)
        yield machine


class Session:
    """A GDB on the kernel over one of the stubs, and how to stop the kernel for it."""

    def __init__(self, kernel: Kernel, machine: Machine, stub: str, folder: Path) -> None:
        self.machine = machine
        self.stub = stub
        self._kernel = kernel
        self._folder = folder

    def gdb(self, *commands: str, stopped: bool = False) -> GdbRun:
        """Stop the kernel, and start a GDB that runs `commands` and then detaches.

        A kernel that may be `stopped` in KGDB already does not answer a SysRq key.
        """
        socket = self.machine.gdbstub
        if self.stub == "kgdb":
            with contextlib.suppress(*[MachineLost] * stopped):
                self.machine.break_in()
            socket = self.machine.kgdb
        wanted = ("source gdbfpu", *commands, "detach")
        return GdbRun(self._kernel, socket, wanted, self._folder)

    def stop(self, run: GdbRun) -> None:
        """Stop the kernel that runs for `run`. KGDB does not hear a ^C while the kernel runs."""
        if self.stub == "kgdb":
            self.machine.break_in()
        else:
            run.interrupt()


@pytest.fixture(params=STUBS)
def session(
    request: pytest.FixtureRequest, kernel: Kernel, guest: Machine, tmp_path: Path
) -> Session:
    return Session(kernel, guest, request.param, tmp_path)


def storm(machine: Machine, signals: int) -> dict[int, int]:
    """Run the programs at once; return how many signals each announces, by pid."""
    said = machine.run(f"for i in 1 2 3 4; do sigstorm {signals} & done; wait", 300.0)
    lines = re.findall(r"guest: sigstorm pid=(\d+) signals=(\d+) ok", said)
    assert len(lines) == PROGRAMS, said
    return {int(pid): int(count) for pid, count in lines}


def text_of(machine: Machine, symbols: dict[str, int]) -> bytes:
    """The kernel's whole text, as the CPUs execute it."""
    start, end = symbols["_stext"], symbols["_etext"]
    return machine.read_memory(start, end - start)


def recorded(session: Session, options: str, signals: int, out: Path) -> tuple[dict[int, int], Any]:
    """Trace the programs; return what they announce, and the report."""
    run = session.gdb(
        f"fpu-trace on {options} --quiet --probe {SAVE}",
        f"echo {READY}\\n",
        "continue",
        "fpu-trace status",
        f"fpu-report --format json --out {out}",
        "fpu-trace off",
    )
    with run:
        run.wait_for(READY, 90.0)
        announced = storm(session.machine, signals)
        session.stop(run)
        output = run.finish(300.0)
    assert "fpu-trace: off" in output
    return announced, json.loads(out.read_text())


def hits(report: Any) -> dict[int, int]:
    """The hits of each pid in a report."""
    counts: Counter[int] = Counter()
    for row in report["tasks"]:
        counts[row["pid"]] += row["hits"].get(SAVE, 0)
    return counts


def test_the_table_has_each_signal(
    session: Session, symbols: dict[str, int], tmp_path: Path
) -> None:
    before = text_of(session.machine, symbols)
    announced, report = recorded(session, "--fast", SIGNALS, tmp_path / "report.json")
    counted = hits(report)
    assert {pid: counted[pid] for pid in announced} == announced
    assert sum(announced.values()) == PROGRAMS * SIGNALS
    (row,) = [row for row in report["tasks"] if row["pid"] == min(announced)]
    assert row["comm"] == "sigstorm"
    assert row["live_hits"] + row["memory_hits"] == SIGNALS
    assert row["live_hits"] > SIGNALS / 2
    assert 0 < row["last_ns"] - row["first_ns"] < 300e9
    assert abs(row["last_ns"] - time.time_ns()) < 300e9
    if switching(session.machine) == "lazy":
        assert row["uses_fpu"] is True
    assert text_of(session.machine, symbols) == before


def test_the_ring_has_each_signal(
    session: Session, symbols: dict[str, int], tmp_path: Path
) -> None:
    """A ring smaller than the trace: the kernel stops when it is full, and nothing is lost."""
    before, out = text_of(session.machine, symbols), tmp_path / "hits.jsonl"
    options = f"--fast ring --rows 1024 --out {out}"
    announced, report = recorded(session, options, FEW, tmp_path / "report.json")
    head, lines = events(out)
    assert head["recorded"] == "kernel"
    assert Counter(line["pid"] for line in lines if line["pid"] in announced) == announced
    counted = {pid: count for pid, count in hits(report).items() if count}
    assert counted.items() <= Counter(line["pid"] for line in lines).items()
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    times = [line["time_ns"] for line in lines]
    assert max(times) - min(times) < 300e9
    assert {line["function"] for line in lines} == {SAVE}
    assert {line["cpu"] for line in lines} == {0, 1}
    mine = [line for line in lines if line["pid"] in announced]
    assert {line["comm"] for line in mine} == {"sigstorm"}
    assert len({(line["task"], line["pid"]) for line in mine}) == PROGRAMS
    assert all(line["caller_pid"] == line["pid"] for line in mine)
    (callers,) = {tuple(line["backtrace"]) for line in mine}
    assert callers[0] in symbols or callers[0] == "get_sigframe"  # inlined
    assert text_of(session.machine, symbols) == before


def test_a_lossy_ring_counts_what_it_loses(session: Session, tmp_path: Path) -> None:
    announced, report = recorded(
        session, "--fast ring --rows 256 --lossy", FEW, tmp_path / "report.json"
    )
    (lost,) = re.findall(r"(\d+) hits? not recorded: no room", "\n".join(report["defects"]))
    assert sum(hits(report).values()) == 256
    assert int(lost) + 256 >= sum(announced.values())


def test_filters_are_the_kernels(session: Session, tmp_path: Path) -> None:
    announced, report = recorded(
        session, "--fast --comm 'sigst*' --comm nobody", FEW, tmp_path / "report.json"
    )
    assert dict(hits(report)) == announced | {p: 0 for p in hits(report) if p not in announced}


LOAD = "for i in 1 2 3 4; do (until [ -e /tmp/end ]; do sigstorm 20000; done > /tmp/storm$i) & done"
PAUSE = """
import pathlib, time
def pause(name):
    path = pathlib.Path(name)
    path.touch()
    deadline = time.monotonic() + 60.0
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
"""


def test_on_and_off_under_load(session: Session, symbols: dict[str, int], tmp_path: Path) -> None:
    """The text is as before each time; the programs' registers and the memory are, too."""
    machine = session.machine
    before = text_of(machine, symbols)
    areas = "grep -vc unpurged /proc/vmallocinfo"
    taken = machine.run(areas, 20.0)
    machine.run(LOAD, 20.0)
    (tmp_path / "pause.py").write_text(PAUSE)
    pauses = [tmp_path / f"cycle{number}" for number in range(CYCLES)]
    cycles = [
        command
        for path in pauses
        for command in ("fpu-trace on --fast --quiet", "fpu-trace off", f"python pause('{path}')")
    ]
    with session.gdb(f"source {tmp_path}/pause.py", *cycles) as run:
        for path in pauses:
            wait_for(path, run)
            assert text_of(machine, symbols) == before
            path.unlink()
        output = run.finish(60.0)
    assert output.count("fpu-trace: off; ") == CYCLES
    assert re.search(r"off; \d{4,} hits so far", output)
    said = machine.run("touch /tmp/end; wait; cat /tmp/storm?", 120.0)
    assert len(re.findall("ok$", said, re.MULTILINE)) >= PROGRAMS
    assert "corrupt" not in said and "failed" not in said
    assert machine.run(areas, 20.0) == taken


@pytest.mark.parametrize("end", ["detach", "quit", "limit"])
def test_each_way_of_ending_restores_the_kernel(
    session: Session, symbols: dict[str, int], tmp_path: Path, end: str
) -> None:
    """While it is on, one jump of 5 bytes is all that is other in the kernel's text."""
    machine, path = session.machine, tmp_path / "on"
    before = text_of(machine, symbols)
    (tmp_path / "pause.py").write_text(PAUSE)
    limit, after = {
        "detach": ("", ()),
        "quit": ("", ("quit",)),
        "limit": (" --limit 20", (f"echo {READY}\\n", "continue", "fpu-trace off")),
    }[end]
    with session.gdb(
        f"source {tmp_path}/pause.py",
        f"fpu-trace on --fast --quiet --probe {SAVE}{limit}",
        f"python pause('{path}')",
        *after,
    ) as run:
        wait_for(path, run)
        on = text_of(machine, symbols)
        path.unlink()
        if end == "limit":
            run.wait_for(READY, 30.0)
            machine.console.send("sigstorm 600\n")
        output = run.finish(90.0)
    changed = [at for at, (old, new) in enumerate(zip(before, on)) if old != new]
    jump = symbols[SAVE] - symbols["_stext"]
    assert changed and set(changed) <= set(range(jump, jump + 5))
    assert ("limit of 20 hits reached" in output) == (end == "limit")
    assert text_of(machine, symbols) == before
    assert list((tmp_path / "gdbfpu").iterdir()) == []
    if end == "limit":
        machine.wait_console("sigstorm pid=.* ok", 30.0)
    storm(machine, FEW)


DAMAGE = (
    "python from gdbfpu.dbg.session import session; area = session().fast._installed.area",
    "python gdb.selected_inferior().write_memory(area.control + 40, b'\\xff' * 8)",  # USED
)


def test_a_damaged_table_is_refused_and_the_kernel_restored(
    session: Session, symbols: dict[str, int]
) -> None:
    before = text_of(session.machine, symbols)
    with session.gdb("fpu-trace on --fast", *DAMAGE, "fpu-report", "fpu-trace off") as run:
        output = run.finish(120.0)
    assert re.search(r"^fpu-report: the table has 18446744073709551615 rows in use of 4096", output,
                     re.MULTILINE)  # fmt: skip
    assert "rows in use of 4096: the kernel's memory was damaged; what is left" in output
    assert text_of(session.machine, symbols) == before


def wait_for(path: Path, run: GdbRun, timeout: float = 90.0) -> None:
    """Wait until GDB has made the file `path`."""
    deadline = time.monotonic() + timeout
    while not path.exists():
        assert run.process.poll() is None and time.monotonic() < deadline, run.output[-4000:]
        time.sleep(0.02)


def test_a_new_debugger_restores_the_kernel(
    session: Session, symbols: dict[str, int], tmp_path: Path
) -> None:
    """GDB dies at a random moment, from the first command on."""
    machine = session.machine
    before = text_of(machine, symbols)
    chosen = random.Random(session.stub)
    for _ in range(KILLED):
        with session.gdb("fpu-trace on --fast ring --quiet", f"echo {READY}\\n", "continue") as run:
            run.wait_for("fpu-trace: ", 60.0)
            time.sleep(chosen.uniform(0.0, 2.0))
            run.process.kill()
            run.process.wait()
        with session.gdb("fpu-trace off", stopped=True) as run:
            output = run.finish(120.0)
        assert re.search("fpu-trace: restored copy_fpstate_to_sigframe, .*which a trace", output)
        assert text_of(machine, symbols) == before
        storm(machine, FEW)
    assert [*(tmp_path / "gdbfpu").iterdir()] == []
