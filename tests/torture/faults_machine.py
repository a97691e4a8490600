# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults of the machine: it ends, another kernel runs on it, the line to it is bad."""

from __future__ import annotations

import os
import signal
import socket
import struct
import time
from contextlib import suppress

from qemu.errors import MachineLost
from tests.torture.fault import Fault, Scene

GONE = "fpu-trace: the kernel is gone; tracing is off$"
CRASH = "(usleep 300000; echo c > /proc/sysrq-trigger) &"
REBOOT = 60.0  # seconds for the machine to boot again
LAST = 0.5  # seconds for the other CPU's last hit, with which a ^C that nobody hears can cross
NOISE = 0.05  # a share of what passes, in pieces of a few bytes
NOISY = 5.0  # seconds, in which there are some hundred packets


def _kill_qemu(scene: Scene) -> None:
    scene.pause(0.1)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(scene.lab.machine.directory / "qmp.sock"))
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    os.kill(struct.unpack("3i", peer)[0], signal.SIGKILL)
    scene.gdb.done()


def _panic(scene: Scene) -> None:
    """The kernel restarts after a panic, at which QEMU ends."""
    scene.lab.machine.run(CRASH, 30.0)
    scene.gdb.done()


def _panic_and_stay(scene: Scene) -> None:
    """With KGDB, a kernel that does not restart after a panic enters it."""
    scene.lab.machine.run(f"echo 0 > /proc/sys/kernel/panic; {CRASH}", 30.0)
    if scene.lab.stub == "gdbstub":
        with suppress(MachineLost):
            scene.lab.machine.wait_console("Kernel panic", 30.0)
        time.sleep(LAST)
        scene.stop()
    else:
        scene.gdb.done()


def _boot_again(scene: Scene) -> None:
    machine = scene.lab.machine
    machine.monitor.execute("set-action", reboot="reset")
    machine.console.send("echo b > /proc/sysrq-trigger\n")
    machine.wait_console("Linux version", REBOOT)
    machine.wait_console("gdbfpu# ", REBOOT)
    machine.monitor.execute("set-action", reboot="shutdown")
    scene.lab.start_load()


def _reboot(scene: Scene) -> None:
    """QEMU keeps the breakpoints, so that the trace goes on."""
    _boot_again(scene)


def _reboot_kgdb(scene: Scene) -> None:
    """KGDB of the new boot knows of no debugger, until ^C, pressed twice, has GDB give up."""
    _boot_again(scene)
    for _ in range(2):
        time.sleep(1.0)
        scene.gdb.interrupt()
    scene.gdb.done()


def _cut(scene: Scene) -> None:
    assert scene.wire is not None
    scene.pause(0.1)
    scene.wire.cut(scene.chance)
    scene.gdb.done()


def _delay(scene: Scene) -> None:
    """A question and its answer together by less than the 2 s after which GDB asks again."""
    assert scene.wire is not None
    scene.wire.slow(scene.chance, 0.4, 0.1)
    scene.wait_for_hits(3)
    scene.wire.good()


def _noise(scene: Scene) -> None:
    """Checksums do not agree, or packets have no end: both sides ask again."""
    assert scene.wire is not None
    scene.wire.noisy(scene.chance, NOISE)
    scene.wait_for_hits(2)
    scene.wire.good()


def _noise_kgdb(scene: Scene) -> None:
    """KGDB and GDB 13 may lose count of the packets, so that nobody knows which answers what.

    Then GDB is of no use any more, and is killed.
    """
    assert scene.wire is not None
    scene.wire.noisy(scene.chance, NOISE)
    scene.hits_come(2, NOISY)
    scene.gdb.kill()


FAULTS = (
    Fault("QEMU killed", _kill_qemu, "nothing", (GONE,), bad_wire=True),
    Fault("panic, restart", _panic, "nothing", (GONE,), bad_wire=True),
    Fault("panic, no restart", _panic_and_stay, "wreck"),
    Fault("reboot", _reboot, "running", stubs=("gdbstub",)),
    Fault("reboot", _reboot_kgdb, "gdb", (GONE,), stubs=("kgdb",)),
    Fault("line cut in a packet", _cut, "gdb", (GONE,), bad_wire=True),
    Fault("line delayed", _delay, "running", bad_wire=True),
    Fault("bytes changed or dropped", _noise, "running", bad_wire=True, stubs=("gdbstub",)),
    Fault(
        "bytes changed or dropped",
        _noise_kgdb,
        "kernel",
        bad_wire=True,
        stubs=("kgdb",),
        forgiven="internal-error: inferior_thread: Assertion",
    ),
)
