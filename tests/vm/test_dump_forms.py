# SPDX-License-Identifier: GPL-2.0-or-later
"""Dumps in all forms that people get: each tells what the live kernel told at the same stop."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qemu.kernels import Kernel
from qemu.session import gdb_command
from tests.vm import dumps
from tests.vm.dumps import Stop

RUNNING = "x87calc 0 20 & audiod 0 20 & mmxplay 0 20 & intonly 0 20 & sleep 1"
ASKED = {
    "report": ["report", "--format", "json", "--sort", "pid"],
    "info": ["info", "--format", "json"],
    "x87calc": ["state", "--comm", "x87calc", "--format", "json"],
    "audit": ["audit", "--all", "--format", "json"],
}
BY_QEMU = ("qemu", "paging", "kdump")
FILTERED = (*dumps.FORMS, "snappy")
LEFT_OUT = "left out of the dump by its filter (makedumpfile -d)"


@pytest.fixture(scope="module")
def stop(
    kernel: Kernel, model: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Stop, dict[str, Any]]:
    """One stop's dumps, and what GDB told of the live kernel there."""
    folder = tmp_path_factory.mktemp("dumps")
    commands = ["source gdbfpu"]
    for name, words in ASKED.items():
        commands.append(f"pipe fpu-{' '.join(words)} | cat > {folder}/{name}.json")
    made = dumps.stop(kernel, model, folder, RUNNING, commands)
    alive = {name: json.loads((folder / f"{name}.json").read_text()) for name in ASKED}
    assert alive["info"].pop("stub")["value"] == "qemu"
    for cpu in (0, 1):  # control registers are the stub's to show
        alive["info"].pop(f"CPU {cpu} CR0")
    return made, alive


def gdbfpu(words: list[str], core: Path, made: Stop) -> subprocess.CompletedProcess[str]:
    files = ["--core", str(core), "--vmlinux", str(made.kernel.vmlinux)]
    if core.name in BY_QEMU:  # the others have it among their notes
        files += ["--vmcoreinfo", str(made.folder / "vmcoreinfo")]
    return dumps.run([sys.executable, "-m", "gdbfpu", *words, *files], cwd=dumps.ROOT)


def in_gdb(commands: list[str], core: Path, made: Stop) -> str:
    argv = gdb_command(made.kernel.vmlinux, core, ["source gdbfpu", *commands], batch=True)
    argv[argv.index(f"target remote {core}")] = f"core-file {core}"
    done = dumps.run(argv, cwd=dumps.ROOT)
    return done.stdout + done.stderr


@pytest.mark.parametrize("form", [*BY_QEMU, "vmcore", *FILTERED])
def test_dump_tells_what_the_live_kernel_told(form: str, stop: tuple[Stop, dict[str, Any]]) -> None:
    made, alive = stop
    told = {}
    for name, words in ASKED.items():
        done = gdbfpu(words, made.file(form), made)
        assert (done.returncode, done.stderr) == (0, "")
        told[name] = json.loads(done.stdout)
    compare(told, alive)


@pytest.mark.parametrize("form", ["paging", "vmcore", "elf"])
def test_gdb_tells_of_a_dump_what_it_told_of_the_live_kernel(
    form: str, stop: tuple[Stop, dict[str, Any]], tmp_path: Path
) -> None:
    made, alive = stop
    commands = [
        f"pipe fpu-{' '.join(words)} | cat > {tmp_path}/{name}" for name, words in ASKED.items()
    ]
    output = in_gdb(commands, made.file(form), made)
    told = {name: json.loads((tmp_path / name).read_text() or output) for name in ASKED}
    compare(told, alive)


def compare(told: dict[str, Any], alive: dict[str, Any]) -> None:
    assert told["info"].pop("stub")["value"] == "core"
    assert told == alive
    assert (told["audit"]["verdict"], told["audit"]["findings"]) == ("clean", [])
    users = {task["comm"]: task["uses_fpu"] for task in told["report"]["tasks"]}
    assert users["x87calc"] and users["audiod"] and not users["intonly"]
    assert told["x87calc"]["registers"]["st4"]["bytes"] == "35c26821a2da0fc90040"


@pytest.fixture(scope="module")
def missing(stop: tuple[Stop, dict[str, Any]]) -> int:
    """The address of the end of x87calc's FPU state, which the next dumps have not."""
    state = stop[1]["x87calc"]
    return int(state["task"]["fpu"], 16) + state["size"]


@pytest.mark.parametrize("form", ["elf", "zlib"])
def test_what_the_filter_left_out_is_told(
    form: str, stop: tuple[Stop, dict[str, Any]], missing: int
) -> None:
    made = stop[0]
    core = made.without(form, missing)
    done = gdbfpu(ASKED["x87calc"], core, made)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(f": {LEFT_OUT}\n")
    done = gdbfpu(ASKED["audit"], core, made)
    assert (done.returncode, done.stderr) == (3, "")
    said = json.loads(done.stdout)
    assert said["verdict"] == "incomplete"
    assert [one for one in said["undecided"] if one["why"].endswith(LEFT_OUT)]
    done = gdbfpu(ASKED["report"], core, made)
    said = json.loads(done.stdout)  # it may have needed less of the state
    missed = [why for why in said["defects"] if why.endswith(LEFT_OUT)]
    assert (done.returncode, done.stderr) == (int(bool(missed)), "")
    assert missed or said == stop[1]["report"]


def test_gdb_tells_what_the_filter_left_out(
    stop: tuple[Stop, dict[str, Any]], missing: int
) -> None:
    """GDB itself says that there are zeros."""
    made = stop[0]
    core = made.without("elf", missing)
    output = in_gdb(
        [f"x/gx {missing & -4096:#x}", "fpu-state --comm x87calc", "fpu-audit --all"], core, made
    )
    assert "0x0000000000000000" in output
    assert [line for line in output.splitlines() if line.endswith(LEFT_OUT)]
    assert "fpu-audit: incomplete: " in output
