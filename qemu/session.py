# SPDX-License-Identifier: GPL-2.0-or-later
"""GDB on a test machine: the command line of a session, and the machine of the demonstration."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from qemu.booting import boot_kernel
from qemu.choice import first_that, kernel_name
from qemu.gdbs import gdb_program
from qemu.guest.image import demo_image
from qemu.kernels import Kernel
from qemu.vm import Machine

__all__ = ("demo_machine", "gdb_alone", "gdb_command", "kernel_name")

_SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
_DESKTOP = 120.0  # seconds; Xorg is up and x11perf draws in about ten


def gdb_alone(vmlinux: Path, *, batch: bool) -> list[str]:
    """Return the command line of a GDB on `vmlinux` that finds `source gdbfpu`.

    GDB reads no init file; its arguments have the line that `make install` would add to one.
    """
    argv = [gdb_program(), "-nx", "-q", *(["-batch"] if batch else []), str(vmlinux)]
    return [*argv, "-ex", "set pagination off", "-ex", f"directory {_SCRIPTS}"]


def gdb_command(
    vmlinux: Path, socket: Path, commands: Sequence[str], *, batch: bool, echo: bool = False
) -> list[str]:
    """Return the command line of a GDB on `vmlinux`, attached to `socket`, that runs `commands`.

    `echo` shows each command after a prompt, as if somebody had typed it.
    """
    argv = gdb_alone(vmlinux, batch=batch)
    for command in (f"target remote {socket}", *commands):
        if echo:
            argv += ["-ex", f"echo (gdb) {command}\\n"]
        argv += ["-ex", command]
    return argv


@contextmanager
def demo_machine() -> Iterator[tuple[Machine, Kernel]]:
    """Boot the kernel with the demonstration running in it, stopped in KGDB."""
    machine, kernel = first_that(lambda name: boot_kernel(name, demo_image(), "1G"))
    with machine:
        started = time.monotonic()
        _say("starting Xorg and x11perf, Debian's own, among ordinary tasks ...")
        machine.run("start-demo", _DESKTOP)
        machine.break_in()
        _say(f"stopped in KGDB after {time.monotonic() - started:.0f} s")
        yield machine, kernel


def _say(text: str) -> None:
    print(text, flush=True)
