# SPDX-License-Identifier: GPL-2.0-or-later
"""A memory dump tells what the live kernel told at the same stop."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from qemu.console import PROMPT
from qemu.guest import image
from qemu.kernels import Kernel
from qemu.session import gdb_command
from qemu.vm import Machine
from tests.vm.oracle import features, runnable

RUNNING = ("ymmall", "x87calc", "audiod", "mmxplay", "intonly")
COMMANDS = (
    "source gdbfpu",
    "fpu-report --format json --sort pid --out {}/report",
    "pipe fpu-info --format json | cat > {}/info",
    "pipe fpu-state --comm x87calc --format json | cat > {}/x87calc",
    "pipe fpu-state --comm {wide} --format json | cat > {}/wide",
    "fpu-audit --all --format json --out {}/audit",
)


def ask(argv: list[str]) -> str:
    done = subprocess.run(
        argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120
    )
    output = done.stdout + done.stderr
    assert "Traceback" not in output, output
    return output


def answers(folder: Path) -> dict[str, Any]:
    return {path.name: json.loads(path.read_text()) for path in sorted(folder.iterdir())}


def test_dump_and_live_kernel_tell_the_same(kernel: Kernel, model: str, tmp_path: Path) -> None:
    live, dead, core = tmp_path / "live", tmp_path / "dead", tmp_path / "vmcore"
    for folder in (live, dead):
        folder.mkdir()
    with Machine(kernel.bzimage, image.test_image(), memory="256M", cpu=model) as machine:
        machine.boot(PROMPT, 120.0)
        wide, *others = runnable(RUNNING, features(machine))
        machine.run(" ".join(f"{name} 0 20 &" for name in (wide, *others)) + " sleep 1", 20.0)
        commands = [command.format(live, wide=wide) for command in COMMANDS]
        # QEMU's own monitor command, by way of GDB: the machine runs on when GDB is gone.
        commands.append(f"monitor dump-guest-memory -p {core}")
        ask(gdb_command(kernel.vmlinux, machine.gdbstub, commands, batch=True))
    commands = [command.format(dead, wide=wide) for command in COMMANDS]
    argv = gdb_command(kernel.vmlinux, core, [*commands, "fpu-trace on"], batch=True)
    argv[argv.index(f"target remote {core}")] = f"core-file {core}"
    output = ask(argv)
    assert "fpu-trace: there is nothing to trace: this is a memory dump" in output
    alive, told = answers(live), answers(dead)
    assert alive.keys() == told.keys() == {"audit", "info", "report", "wide", "x87calc"}
    assert told["info"].pop("stub")["value"] == "core"
    assert alive["info"].pop("stub")["value"] == "qemu"
    for cpu in (0, 1):  # control registers are the stub's to show
        alive["info"].pop(f"CPU {cpu} CR0")
    assert told == alive
    assert (told["audit"]["verdict"], told["audit"]["findings"]) == ("clean", [])
    users = {task["comm"]: task["uses_fpu"] for task in told["report"]["tasks"]}
    assert users[wide] and users["x87calc"] and not users["intonly"]
    assert told["x87calc"]["registers"]["st4"]["bytes"] == "35c26821a2da0fc90040"
