# SPDX-License-Identifier: GPL-2.0-or-later
"""Probes over which a CPU has to step: with the other CPUs held by KGDB no hit is lost."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from gdbfpu.probes.jobs import GROUPS
from qemu.kernels import Kernel
from qemu.vm import Machine
from tests.vm.gdbrun import GdbRun

EVERY = "fpu-trace on --quiet " + " ".join(f"--group {name}" for name in GROUPS)
HAS_TO_STEP = re.compile(r"^fpu-trace: (\S+) at \S+, at its entry, where GDB has to step", re.M)
HELD = re.compile(
    r"^fpu-trace: (\S+) at \S+, at its entry, stepped over while KGDB holds the other CPUs", re.M
)
LEFT_OUT = re.compile(r"^fpu-trace: (\S+) is left out: GDB would have to step", re.M)
SAVE = "copy_fpstate_to_sigframe"
SIGNALS = int(os.environ.get("SIGNALS", 50))  # of each of four programs
READY = "the trace is on"
FORCED = "python import gdbfpu.probes.resume as r; r.choose = lambda *_: None"
"""No instruction qualifies: what the kernels of the catalogue have for few probes."""
UNABLE = "python import gdbfpu.dbg.one_step as o; o.can_hold = lambda *_: False"
"""As with a kernel whose KGDB cannot hold its CPUs, or a GDB that cannot send packets."""


@pytest.fixture
def said(
    kernel: Kernel, machine: Callable[..., Machine], initrd: Path, tmp_path: Path
) -> Callable[..., str]:
    """A function that boots, runs commands in GDB over one stub, and returns what GDB printed."""

    def run(stub: str, *asked: str, smp: int = 2) -> str:
        guest = machine(initrd, smp=smp)
        if stub == "kgdb":
            guest.break_in()
        socket = guest.kgdb if stub == "kgdb" else guest.gdbstub
        commands = ["source gdbfpu", *asked, "fpu-trace off", "detach"]
        with GdbRun(kernel, socket, commands, tmp_path) as gdb:
            return gdb.finish()

    return run


def test_what_has_to_be_stepped_over(said: Callable[..., str]) -> None:
    """KGDB holds the other CPUs. If it cannot, a probe is left out, or refused by name."""
    (stepped, *_) = HAS_TO_STEP.findall(said("qemu", EVERY))
    assert stepped in HELD.findall(said("kgdb", EVERY))
    refused = f"cannot probe {stepped}: GDB would have to step, which hangs a kernel with 2 CPUs"
    several = said(
        "kgdb",
        *(UNABLE, EVERY, "fpu-trace status", "fpu-trace off"),
        *(f"python gdb.execute('fpu-trace on --probe {stepped} --step')", "fpu-trace off"),
        *("echo @@named@\\n", f"fpu-trace on --probe {stepped}", "fpu-trace status"),
    )
    planted, _, named = several.partition("@@named@\n")
    assert stepped in LEFT_OUT.findall(planted)
    assert HAS_TO_STEP.findall(planted) == [stepped]  # that with --step
    assert refused in named
    assert named.count("\n") < 6
    assert "tracing is off" in named
    assert stepped in HAS_TO_STEP.findall(said("kgdb", UNABLE, EVERY, smp=1))


def test_no_hit_is_lost_when_a_cpu_steps(
    kernel: Kernel, machine: Callable[..., Machine], initrd: Path, tmp_path: Path
) -> None:
    """Four programs on two CPUs, whose announced signals are the hits, each of them a step."""
    guest, out = machine(initrd), tmp_path / "report.json"
    guest.break_in()
    wanted = [
        *("source gdbfpu", FORCED, f"fpu-trace on --quiet --backtrace 0 --probe {SAVE}"),
        *(f"echo {READY}\\n", "continue", "fpu-trace status"),
        *(f"fpu-report --format json --out {out}", "fpu-trace off", "detach"),
    ]
    with GdbRun(kernel, guest.kgdb, wanted, tmp_path) as gdb:
        gdb.wait_for(READY, 60.0)
        told = guest.run(f"for i in 1 2 3 4; do sigstorm {SIGNALS} & done; wait", 300.0)
        guest.break_in()
        output = gdb.finish()
    announced = dict(re.findall(r"guest: sigstorm pid=(\d+) signals=(\d+) ok", told))
    assert len(announced) == 4, told
    assert HELD.findall(output) == [SAVE]
    assert "not recorded" not in output
    passes = re.search(rf"{SAVE} at \S+, at its entry, stepped over .*: passed (\d+) times", output)
    hits: Counter[str] = Counter()
    for row in json.loads(out.read_text())["tasks"]:
        hits[str(row["pid"])] += row["hits"].get(SAVE, 0)
    assert {pid: str(hits[pid]) for pid in announced} == announced
    assert passes is not None and int(passes[1]) == sum(hits.values()) >= 4 * SIGNALS
    assert guest.run("echo alive", 20.0).strip() == "alive"
