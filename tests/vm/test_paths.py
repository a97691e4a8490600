# SPDX-License-Identifier: GPL-2.0-or-later
"""Call paths of a booted kernel end at its entry, and deep ones do it no harm."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from qemu.console import PROMPT
from qemu.guest import image
from qemu.kernels import Kernel
from qemu.vm import Machine
from tests.vm.gdbrun import GdbRun, events
from tests.vm.oracle import features, runnable

BOOT = 120.0
SIGNALS = 8
PROGRAMS = ("ymmall", "x87calc", "avxthreads", "ia32sig", "coredump")
PTRACE = ("xfpregs_get", "xfpregs_set")


@pytest.fixture(scope="session")
def entry_code(symbols: dict[str, int]) -> set[str]:
    """The functions between __entry_text_start and __entry_text_end."""
    start, end = symbols["__entry_text_start"], symbols["__entry_text_end"]
    return {name for name, place in symbols.items() if start <= place < end}


@pytest.mark.parametrize("stub", ["kgdb", "qemu"])
def test_every_path_ends_at_the_entry(
    kernel: Kernel, entry_code: set[str], cpu: str, stub: str, tmp_path: Path
) -> None:
    """Signals and ptrace, 64 and 32 bits: programs' register values are no callers.

    A kernel whose memory is read where a program chose says so on its console, and is lost.
    """
    probes = " ".join(f"--probe {name}" for name in ("copy_fpstate_to_sigframe", *PTRACE))
    asked = [
        "source gdbfpu",
        f"fpu-trace on --quiet --backtrace 16 {probes} --out {tmp_path}/events",
        "echo READY\\n",
        "continue",
        "echo @@paths@\\n",
        "fpu-report --by path",
        "fpu-trace off",
        "detach",
    ]
    with Machine(kernel.bzimage, image.test_image(), cpu=cpu) as machine:
        machine.boot(PROMPT, BOOT)
        if stub == "kgdb":
            machine.break_in()
        socket = machine.kgdb if stub == "kgdb" else machine.gdbstub
        with GdbRun(kernel, socket, asked, tmp_path) as gdb:
            gdb.wait_for("READY", 120.0)
            programs = runnable((*PROGRAMS, "ptracer"), features(machine))
            arguments = dict.fromkeys(programs, f"{SIGNALS} 4") | {"ptracer": "3 1"}
            starts = " ".join(f"{name} {arguments[name]} &" for name in programs)
            machine.run(f"{starts} wait", 240.0)
            if stub == "kgdb":
                machine.break_in()
            else:
                gdb.interrupt()
            output = gdb.finish()
        machine.run("echo alive", 20.0)
        machine.check()
    paths = Counter((hit["function"], *hit["backtrace"]) for hit in events(tmp_path / "events")[1])
    threads = 3 * ("avxthreads" in programs)  # beyond the one that each program is
    assert sum(paths.values()) >= SIGNALS * (len(set(programs) - {"ptracer"}) + threads)
    assert {path[-1] for path in paths} <= entry_code
    assert not [path for path in paths if not set(path[:-1]).isdisjoint(entry_code)]
    entered = {"copy_fpstate_to_sigframe", *(PTRACE if "ptracer" in programs else ())}
    assert {path[0] for path in paths} == entered
    rows = output.partition("@@paths@\n")[2]
    assert len(re.findall(r"^ *\d+  \S+ < ", rows, re.MULTILINE)) == len(paths) <= 12
