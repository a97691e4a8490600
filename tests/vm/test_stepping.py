# SPDX-License-Identifier: GPL-2.0-or-later
"""Probes that GDB would have to step over are refused over KGDB with several CPUs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gdbfpu.probes.jobs import GROUPS
from qemu.kernels import Kernel
from qemu.vm import Machine
from tests.vm.gdbrun import GdbRun

EVERY = "fpu-trace on --quiet " + " ".join(f"--group {name}" for name in GROUPS)
HAS_TO_STEP = re.compile(r"^fpu-trace: (\S+) at \S+, at its entry, where GDB has to step", re.M)
LEFT_OUT = re.compile(r"^fpu-trace: (\S+) is left out: GDB would have to step", re.M)


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


def test_what_gdb_has_to_step_over(said: Callable[..., str]) -> None:
    """Of a group it is left out, by name it is refused, with --step or on one CPU it is planted."""
    (stepped, *_) = HAS_TO_STEP.findall(said("qemu", EVERY))
    refused = f"cannot probe {stepped}: GDB would have to step, which hangs a kernel with 2 CPUs"
    several = said(
        "kgdb",
        *(f"{EVERY}", "fpu-trace status", "fpu-trace off"),
        *(f"python gdb.execute('fpu-trace on --probe {stepped} --step')", "fpu-trace off"),
        *("echo @@named@\\n", f"fpu-trace on --probe {stepped}", "fpu-trace status"),
    )
    planted, _, named = several.partition("@@named@\n")
    assert stepped in LEFT_OUT.findall(planted)
    assert HAS_TO_STEP.findall(planted) == [stepped]  # that with --step
    assert refused in named
    assert named.count("\n") < 6
    assert "tracing is off" in named
    assert stepped in HAS_TO_STEP.findall(said("kgdb", EVERY, smp=1))
