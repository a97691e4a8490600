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
    (line,) = machine.run("grep -m1 '^flags' /proc/cpuinfo", 20.0).splitlines()
    return frozenset(line.partition(":")[2].split())


def vendor(machine: Machine) -> str:
    """Return the CPU's vendor, as CPUID spells it."""
    (line,) = machine.run("grep -m1 '^vendor_id' /proc/cpuinfo", 20.0).splitlines()
    return line.partition(":")[2].strip()


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
