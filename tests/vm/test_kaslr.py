# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel that KASLR moved is found, by its build-id, and traced like any other."""

from __future__ import annotations

import json
import re
from pathlib import Path

from qemu.console import PROMPT
from qemu.guest import image
from qemu.kernels import obtain
from qemu.vm import Machine
from tests.vm.gdbrun import GdbRun, events

NAME = "debian-6.1"  # Debian's own image, which has CONFIG_RANDOMIZE_BASE
SIGNALS = 60
SAVE = "copy_fpstate_to_sigframe"


def test_relocated_kernel_is_traced(tmp_path: Path) -> None:
    kernel = obtain(NAME)
    with Machine(kernel.bzimage, image.test_image(), kaslr=True) as machine:
        machine.boot(PROMPT, 120.0)
        shown = machine.run("grep -w linux_banner /proc/kallsyms", 20.0)
        commands = [
            "source gdbfpu",
            f"fpu-trace on --quiet --out {tmp_path}/events",
            "pipe fpu-info --format json | cat > info",
            "echo READY\\n",
            "continue",
            "print &linux_banner",
            "fpu-report --format json --out report",
            "detach",
        ]
        with GdbRun(kernel, machine.gdbstub, commands, tmp_path) as gdb:
            gdb.wait_for("READY", 120.0)
            command = f"ymmall {SIGNALS} 5 & intonly {SIGNALS} 5 & wait"
            announced = machine.run(command, 120.0)
            gdb.interrupt()
            output = gdb.finish()
    lines = re.findall(r"guest: (\w+) pid=(\d+) signals=(\d+) ok", announced)
    assert sorted(name for name, _, _ in lines) == ["intonly", "ymmall"]
    _, hits = events(tmp_path / "events")
    for _, pid, count in lines:
        saved = [h for h in hits if h["pid"] == int(pid) and h["function"] == SAVE]
        assert len(saved) == int(count) == SIGNALS
    # The kernel's own word on where it is, against GDB's symbols and fpu-info.
    banner = int(shown.split()[0], 16)
    assert f"{banner:#x} <linux_banner>" in output
    offset = int(json.loads((tmp_path / "info").read_text())["KASLR offset"]["value"], 16)
    assert offset % (2 << 20) == 0
    assert f"the kernel is relocated by {offset:#x} (KASLR)" in output or offset == 0
    report = json.loads((tmp_path / "report").read_text())
    users = {task["comm"]: task["uses_fpu"] for task in report["tasks"]}
    assert (users["ymmall"], users["intonly"]) == (True, False)
