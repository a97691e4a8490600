# SPDX-License-Identifier: GPL-2.0-or-later
"""What a booted kernel says of itself, and which guest programs its CPU runs.

Expectations are chosen by these, never by a kernel's version or name.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from qemu.vm import Machine

NEEDS = {
    "ymmall": "avx",
    "ymmstorm": "avx",
    "coredump": "avx",
    "avxthreads": "avx",
    "ptracer": "avx",
    "longago": "avx",
    "zeros": "avx",
    "vforkexec": "avx",
    "badxcomp": "xsave",
}
"""Program to the feature that it does not run without, after qemu/guest/PROGRAMS.md."""

WIDE, LEGACY = "ymmall", "fxall"
"""The program with a pattern in every vector register, and its like on a CPU without AVX."""


def features(machine: Machine) -> frozenset[str]:
    """Return the CPU's features by the kernel's names, the flags of /proc/cpuinfo."""
    return frozenset(_of_cpu(machine, "flags").split())


def vendor(machine: Machine) -> str:
    """Return the CPU's vendor, as CPUID spells it."""
    return _of_cpu(machine, "vendor_id")


def _of_cpu(machine: Machine, name: str) -> str:
    """Return a field of /proc/cpuinfo."""
    return answer(machine, f"grep -m1 '^{name}' /proc/cpuinfo", rf"{name}\s*: (.*)")


def pid_of(machine: Machine, command: str) -> int:
    """Start `command` in the background, and return its pid."""
    return int(answer(machine, f"({command} & echo $!)", r"(\d+)"))


def answer(machine: Machine, command: str, line: str) -> str:
    """Return group 1 of the regular expression `line`, which one line of the answer matches.

    The kernel may write a message of its own between the lines.
    """
    text = machine.run(command, 20.0)
    found = re.search(rf"^{line}$", text, re.MULTILINE)
    assert found, f"`{command}` says {text!r}"
    return found[1].strip()


def runnable(programs: Iterable[str], cpu: frozenset[str]) -> list[str]:
    """Return those of `programs` that a CPU with these features runs.

    WIDE stands for its like, too: LEGACY takes its place where it does not run.
    """
    fit = [LEGACY if name == WIDE and NEEDS[WIDE] not in cpu else name for name in programs]
    return [name for name in fit if NEEDS.get(name) in {None, *cpu}]


def switching(machine: Machine) -> str:
    """Return how the kernel says it switches; those that do not say switch eagerly."""
    said = re.search(r"Using '(lazy|eager)' FPU context switches", _log(machine))
    return said[1] if said else "eager"


def enabled(machine: Machine) -> int:
    """Return the XSAVE components that the kernel says it enabled, 0 without XSAVE."""
    said = re.search(r"Enabled xstate features (0x[0-9a-f]+)", _log(machine))
    return int(said[1], 16) if said else 0


def xsave_format(machine: Machine) -> str:
    """Return the format in which the kernel says it saves, `fxsave` where it does not say."""
    said = re.search(r"using '(standard|compacted)' format", _log(machine))
    return said[1] if said else "fxsave"


def _log(machine: Machine) -> str:
    """Return what the kernel has said of the FPU: its own buffer, as a UART can lose characters."""
    return machine.run("dmesg | grep x86/fpu", 20.0)


def symbols_of(vmlinux: Path) -> dict[str, int]:
    """Return the symbols of vmlinux, read by nm."""
    argv = ["nm", "--defined-only", str(vmlinux)]
    listed = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60.0).stdout
    return {line.split()[2]: int(line.split()[0], 16) for line in listed.splitlines()}
