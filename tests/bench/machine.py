# SPDX-License-Identifier: GPL-2.0-or-later
"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import gdbfpu
from qemu.gdbs import gdb_program


def machine() -> dict[str, str]:
    """Return the machine and the versions that matter, by name."""
    facts = {
        "CPU": f"{_cpu()}, {os.cpu_count()} cores",
        "Linux": platform.release().partition("-")[0],
        "GDB": _version(gdb_program()),
        "QEMU": _version("qemu-system-x86_64"),
        "Python": platform.python_version(),
        "gdbfpu": gdbfpu.__version__,
    }
    if os.environ.get("KERNEL"):
        facts["traced"] = os.environ["KERNEL"]
    return facts


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return " ".join(value.split())
    return platform.machine()


def _version(program: str) -> str:
    """Return the version of `program`, the last word or so of its first line."""
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return "none"
    line = done.stdout.splitlines()[0]
    return line.partition(" version ")[2].split(" ")[0] or line.split()[-1]
