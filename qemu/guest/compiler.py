# SPDX-License-Identifier: GPL-2.0-or-later
"""Building the guest's C programs with the machine's GCC."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from qemu.errors import SetupError

__all__ = ("PROGRAMS", "compile_programs")

_SOURCES = Path(__file__).with_name("programs")

PROGRAMS = tuple(sorted(source.stem for source in _SOURCES.glob("*.c")))
"""The names of all guest programs, as in /bin of the guest."""

_FLAGS = [
    *("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wno-unused-function", "-Werror"),
    # No C library, whose start-up code would use vector registers, and none of its functions.
    *("-static", "-nostdlib", "-ffreestanding", "-fno-tree-loop-distribute-patterns"),
    *("-fno-pie", "-no-pie", "-fno-stack-protector", "-fcf-protection=none"),
    *("-fno-asynchronous-unwind-tables", "-mgeneral-regs-only"),
    *("-Wl,--build-id=none", "-Wl,-z,noexecstack", "-s"),
]

_EXTRA_FLAGS = {"ia32sig": ["-m32"]}


def compile_programs(target: Path) -> None:
    """Compile every guest program into the directory `target`. Raises SetupError."""
    compiler = shutil.which("gcc")
    if compiler is None:
        raise SetupError("gcc is missing: run make setup")
    for name in PROGRAMS:
        source = _SOURCES / f"{name}.c"
        flags = [*_FLAGS, *_EXTRA_FLAGS.get(name, [])]
        command = [compiler, *flags, "-o", str(target / name), str(source)]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        if process.returncode:
            raise SetupError(f"{source.name} does not compile:\n{process.stderr.strip()}")
