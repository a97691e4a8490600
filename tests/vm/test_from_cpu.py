# SPDX-License-Identifier: GPL-2.0-or-later
"""Asking the stopped CPU over KGDB, under load: its answers are right, and nothing is left of it.

The other sides of the comparisons: the patterns that the programs document and check themselves,
the signals that they announce, and what QEMU's gdbstub shows at the same stop.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qemu.console import PROMPT
from qemu.guest.image import test_image as guest_image
from qemu.guest.patterns import PATTERNS
from qemu.kernels import Kernel
from qemu.vm import Machine
from tests.vm.gdbrun import GdbRun
from tests.vm.oracle import features, runnable, switching, symbols_of

ASKS = int(os.environ.get("ASKS", 20))
SAVE = "copy_fpstate_to_sigframe"
READY, ASKED = "the trace is on", "all was asked"
WAIT = 200.0 + 5 * ASKS
STORM = "ymmstorm"
XMM = {f"xmm{i}": bytes([0xC0 | i] * 16) for i in range(8)}  # of `between`, see its source
TS = 1 << 3

SCRIPT = f"""
import gdb, json, os, time
def asked(times, out, *commands):
    found = []
    while len(found) < times:
        gdb.execute("continue", False, True)
        try:
            found.append([gdb.execute(command, False, True) for command in commands])
        except gdb.error as error:  # KGDB gathers the CPUs for a second, and goes on without one
            if "try at another stop" not in str(error):
                raise
        with open(out, "w") as file:
            json.dump(found, file)
    gdb.write("{ASKED}\\n")
    gdb.flush()
def wait_for(file):
    deadline = time.monotonic() + {WAIT}
    while not os.path.exists(file):
        assert time.monotonic() < deadline
        time.sleep(0.05)
"""


@pytest.fixture
def guest(kernel: Kernel, cpu: str) -> Iterator[Machine]:
    with Machine(kernel.bzimage, guest_image(), cpu=cpu) as machine:
        machine.boot(PROMPT, 120.0)
        yield machine


@pytest.fixture
def program(guest: Machine) -> str:
    """A program whose registers are in the CPU at its signals, lazily switched or not."""
    return STORM if runnable([STORM], features(guest)) else "between"


def tracing(folder: Path, options: str, *asked: str, probe: str = SAVE) -> list[str]:
    """Return what GDB is told: to stay stopped at each hit of `probe`, and what else."""
    (folder / "ask.py").write_text(SCRIPT)
    trace = f"fpu-trace on --stop --quiet --backtrace 0 --probe {probe} {options}"
    return [
        "source gdbfpu",
        f"source {folder / 'ask.py'}",
        trace,
        f"echo {READY}\\n",
        *asked,
        "fpu-trace off",
        "detach",
    ]


def right(program: str, shown: dict[str, Any]) -> bool:
    """Tell whether the registers are those that `program` documents."""
    pattern = PATTERNS["ymmall"] if program == STORM else XMM
    registers = shown["registers"]
    return {name: bytes.fromhex(registers[name]["bytes"]) for name in pattern} == pattern


def test_registers_under_load(guest: Machine, kernel: Kernel, program: str, tmp_path: Path) -> None:
    """Each answer is the program's pattern; the programs lose no signal and find all they had."""
    guest.break_in()
    out, signals = tmp_path / "asked", 2 * ASKS
    ask = f'python asked({ASKS}, "{out}", "fpu-state --from-cpu --format json")'
    with GdbRun(kernel, guest.kgdb, tracing(tmp_path, f"--comm {program}", ask), tmp_path) as gdb:
        gdb.wait_for(READY)
        interval = "" if program == STORM else " 5"
        told = guest.run(f"for i in 1 2 3 4; do {program} {signals}{interval} & done; wait", WAIT)
        gdb.finish(WAIT)
    announced = re.findall(rf"guest: {program} pid=(\d+) signals=(\d+) ok", told)
    assert [count for _, count in announced] == [str(signals)] * 4, told
    shown = [json.loads(text) for (text,) in json.loads(out.read_text())]
    assert len(shown) == ASKS
    live = [one for one in shown if one["task"]["live"]]
    assert len(live) >= 0.9 * ASKS, Counter(one["task"]["truth"] for one in shown)
    for one in live:
        assert "which has now written them with " in one["task"]["truth"]
        assert {register["source"] for register in one["registers"].values()} == {"CPU"}
        assert right(program, one), one
    assert guest.run("echo alive", 20.0).strip() == "alive"


def test_both_stubs_show_the_same(
    guest: Machine, kernel: Kernel, program: str, tmp_path: Path
) -> None:
    """At one stop: KGDB's CPU tells what QEMU shows of it, control registers and all."""
    guest.break_in()
    end, told = tmp_path / "end", tmp_path / "told"
    asked = (
        f'python asked(1, "{told}", "fpu-state --from-cpu --format json", '
        '"fpu-info --from-cpu --format json")'
    )
    commands = tracing(tmp_path, f"--comm {program}", asked, f'python wait_for("{end}")')
    with GdbRun(kernel, guest.kgdb, commands, tmp_path) as gdb:
        gdb.wait_for(READY)
        guest.console.send(f"{program} 50 5\n")
        gdb.wait_for(ASKED)
        ((state, info),) = json.loads(told.read_text())
        shown, facts = json.loads(state), json.loads(info)
        cpu = shown["task"]["cpu"]
        names = ("cr0", "cr4", "efer")
        with GdbRun(
            kernel,
            guest.gdbstub,
            [
                *("source gdbfpu", "echo @@\\n", f"fpu-state {shown['task']['pid']} --format json"),
                *("echo @@\\n", f"thread {cpu + 1}", *(f"print/x ${name}" for name in names)),
                "detach",
            ],
            tmp_path,
        ) as other:
            _, there, registers = other.finish().split("@@\n")
        end.touch()
        gdb.finish(WAIT)
    assert right(program, shown)
    wanted = json.loads(there)
    assert wanted["task"]["truth"].startswith(f"live in CPU {cpu}: ")
    of_cpu = [n for n, register in wanted["registers"].items() if register["source"] == "CPU"]
    assert len(of_cpu) > 30
    for name in of_cpu:
        assert shown["registers"][name]["bytes"] == wanted["registers"][name]["bytes"], name
    cr0, cr4, efer = re.findall(r"^\$\d+ = (0x[0-9a-f]+|\[.*\])$", registers, re.MULTILINE)
    assert facts[f"CPU {cpu} CR4"]["value"] == cr4
    assert facts[f"CPU {cpu} EFER"]["value"] == efer
    assert facts[f"CPU {cpu} CR0"] == {
        "value": f"TS {int(cr0, 16) >> 3 & 1}, EM {int(cr0, 16) >> 2 & 1}",
        "from": "the CPU",
    }


def test_a_task_without_the_fpu_stays_without(
    guest: Machine, kernel: Kernel, tmp_path: Path
) -> None:
    """An FPU instruction in its place would have made it a user: it is not asked for registers."""
    out, report = tmp_path / "asked", tmp_path / "report"
    asked = (
        f'python asked({ASKS}, "{out}", "fpu-state --from-cpu --format json", '
        '"fpu-info --from-cpu --format json")',
        f"fpu-report --format json --out {report}",
    )
    lazy = switching(guest) == "lazy"
    guest.break_in()
    # A lazy kernel saves nothing for such a task, and clears its state in vain.
    probe = "fpu__clear" if lazy else SAVE
    commands = tracing(tmp_path, "--comm intonly", *asked, probe=probe)
    with GdbRun(kernel, guest.kgdb, commands, tmp_path) as gdb:
        gdb.wait_for(READY)
        told = guest.run(f"intonly {2 * ASKS} 5", WAIT)
        gdb.finish(WAIT)
    assert f"signals={2 * ASKS} ok" in told
    found = json.loads(out.read_text())
    assert len(found) == ASKS
    for state, info in found:
        task, facts = json.loads(state)["task"], json.loads(info)
        cr0 = facts[f"CPU {task['cpu']} CR0"]["value"]
        assert cr0 == f"TS {int(lazy)}, EM 0"  # and no word of a contradiction
        assert task["live"] is False or not lazy
    (row,) = [row for row in json.loads(report.read_text())["tasks"] if row["comm"] == "intonly"]
    # A lazy kernel's fpu__clear leaves it open: the task may be in a signal handler.
    assert row["uses_fpu"] is not True


def test_the_audit_is_decided(guest: Machine, kernel: Kernel, program: str, tmp_path: Path) -> None:
    """With the CPU's answers, nothing is found, and less is left undecided."""
    guest.break_in()
    out = tmp_path / "asked"
    asked = (
        f'python asked(1, "{out}", "fpu-audit --format json", '
        '"fpu-audit --from-cpu --format json", "fpu-audit --all --from-cpu --format json")'
    )
    with GdbRun(kernel, guest.kgdb, tracing(tmp_path, f"--comm {program}", asked), tmp_path) as gdb:
        gdb.wait_for(READY)
        guest.console.send(f"{program} 50 5\n")
        gdb.finish(WAIT)
    said = json.loads(out.read_text())[0]  # with lines of progress before the objects
    before, after, whole = (json.loads(text[text.index("{") :]) for text in said)
    undecided = [[one for one in a["undecided"] if one["rule"] == "MSR"] for a in (before, after)]
    assert [len(each) for each in undecided] == [1, 0]
    assert [one["rule"] for one in after["findings"]] == [one["rule"] for one in before["findings"]]
    rules = {one["rule"] for one in whole["findings"]}
    assert not rules & {"MSR", "OWNER", "XFD1"}, whole["findings"]


def test_text_and_variables_are_as_before(
    guest: Machine, kernel: Kernel, program: str, tmp_path: Path
) -> None:
    """What is written for a question is gone afterwards, and other CPUs run on."""
    symbols = symbols_of(kernel.vmlinux)
    text = range(symbols["_stext"], symbols["_etext"])
    before = guest.read_memory(text.start, len(text))
    guest.break_in()
    ask = f'python asked(2, "{tmp_path / "asked"}", "fpu-state --from-cpu --format json")'
    with GdbRun(kernel, guest.kgdb, tracing(tmp_path, f"--comm {program}", ask), tmp_path) as gdb:
        gdb.wait_for(READY)
        guest.console.send(f"{program} 50 5\n")
        gdb.finish(WAIT)
    deadline = time.monotonic() + 20.0
    while guest.read_memory(symbols["kgdb_single_step"], 4) != bytes(4):
        assert time.monotonic() < deadline
    assert guest.read_memory(text.start, len(text)) == before
