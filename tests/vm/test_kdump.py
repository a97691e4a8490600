# SPDX-License-Identifier: GPL-2.0-or-later
"""A compressed kdump file tells on the command line what the live kernel told in GDB."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qemu.catalogue import load
from qemu.console import PROMPT
from qemu.guest import image
from qemu.kernels import obtain
from qemu.session import gdb_command
from qemu.vm import Machine

NAME = "debian-6.1"  # its vmlinux has DWARF, and drgn reads it
ROOT = Path(__file__).parents[2]
RUNNING = "ymmall 0 20 & x87calc 0 20 & audiod 0 20 & mmxplay 0 20 & intonly 0 20 & sleep 1"
ASKED = {
    "report": ["report", "--format", "json", "--sort", "pid"],
    "info": ["info", "--format", "json"],
    "x87calc": ["state", "--comm", "x87calc", "--format", "json"],
    "ymmall": ["state", "--comm", "ymmall", "--format", "json"],
    "audit": ["audit", "--all", "--format", "json"],
}
# What makedumpfile would have put into the dump, from the kernel's memory (kernel/crash_core.c).
TEXT = "*(char**)&vmcoreinfo_data"
VMCOREINFO = f"dump binary memory {{}}/vmcoreinfo {TEXT} ({TEXT})+*(long*)&vmcoreinfo_size"


def run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, cwd=ROOT
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def stop(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[str]]:
    """What GDB told at a stop of the live kernel, and the options that name that stop's dump."""
    folder = tmp_path_factory.mktemp("kdump")
    kernel = obtain(NAME)
    cpu = load()[NAME].cpus[0]
    with Machine(kernel.bzimage, image.test_image(), memory="256M", cpu=cpu) as machine:
        machine.boot(PROMPT, 120.0)
        machine.run(RUNNING, 20.0)
        commands = ["source gdbfpu", VMCOREINFO.format(folder)]
        for name, words in ASKED.items():
            commands.append(f"pipe fpu-{' '.join(words)} | cat > {folder}/{name}")
        # QEMU's own monitor command, by way of GDB: the machine runs on when GDB is gone.
        commands.append(f"monitor dump-guest-memory -z {folder}/core")
        run(gdb_command(kernel.vmlinux, machine.gdbstub, commands, batch=True))
    files = ["--core", str(folder / "core"), "--vmlinux", str(kernel.vmlinux)]
    files += ["--vmcoreinfo", str(folder / "vmcoreinfo")]
    return {name: json.loads((folder / name).read_text()) for name in ASKED}, files


def gdbfpu(*words: str) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-m", "gdbfpu", *words])


def test_kdump_and_live_kernel_tell_the_same(stop: tuple[dict[str, Any], list[str]]) -> None:
    alive, files = stop
    told = {}
    for name, words in ASKED.items():
        done = gdbfpu(*words, *files)
        assert (done.returncode, done.stderr) == (0, "")
        told[name] = json.loads(done.stdout)
    assert told["info"].pop("stub")["value"] == "core"
    assert alive["info"].pop("stub")["value"] == "qemu"
    for cpu in (0, 1):  # control registers are the stub's to show
        alive["info"].pop(f"CPU {cpu} CR0")
    assert told == alive
    assert (told["audit"]["verdict"], told["audit"]["findings"]) == ("clean", [])
    users = {task["comm"]: task["uses_fpu"] for task in told["report"]["tasks"]}
    assert users["ymmall"] and users["x87calc"] and not users["intonly"]
    assert told["x87calc"]["registers"]["st4"]["bytes"] == "35c26821a2da0fc90040"


def test_what_a_kdump_cannot_tell_is_one_line(
    stop: tuple[dict[str, Any], list[str]], tmp_path: Path
) -> None:
    files = stop[1]
    done = gdbfpu("state", *files)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("gdbfpu: a dump has no current task: use PID, ADDRESS or --comm NAME\n")
    done = gdbfpu("info", *files[:4])  # QEMU's dump has no VMCOREINFO of its own
    assert done.returncode == 1
    assert done.stderr.endswith("; give its --vmcoreinfo\n")
    done = gdbfpu("info", *files[:2], "--vmlinux", sys.executable, *files[4:])
    assert done.returncode == 1
    assert done.stderr.endswith(
        f"does not match {files[1]}: give the vmlinux of the dumped kernel\n"
    )
    out = tmp_path / "report"
    assert gdbfpu("report", "--out", str(out), *files).stdout == ""
    assert "x87calc" in out.read_text()
