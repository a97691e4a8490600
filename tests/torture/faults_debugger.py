# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults on the side of GDB: of its process, its files, and what is done in it."""

from __future__ import annotations

import re
import shutil

from tests.torture import checks
from tests.torture.fault import Fault, Scene

ON = "fpu-trace: tracing is on already: say `fpu-trace off` first$"
INTERRUPTED = r"fpu-trace: interrupted: (\d+) hits, tracing is on$"
ENDS = r"fpu-trace: \S+ ends before hit (\d+): {}; the trace goes on without this file$"
PRESSES = 3  # of ^C, each at another moment
HEARD = 1.0  # seconds for a ^C to stop the kernel, if it comes during a hit
# A limit on the size of GDB's files behaves like a disk that gets full.
FULL = (
    "python import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    "resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, resource.RLIM_INFINITY))"
)
# What GDB takes for the time goes back by an hour, as if somebody had set this machine's clock.
BACK = "python import time; now = time.time_ns; time.time_ns = lambda: now() - 3600 * 10**9"


def _kill(scene: Scene) -> None:
    scene.pause(0.1)
    scene.gdb.kill()


def _full(scene: Scene) -> None:
    """The disk gets full with the next hit but a few."""
    scene.stop()
    scene.gdb.ask(FULL.format(scene.out.stat().st_size + scene.chance.randint(0, 1500)))
    scene.go_on()
    _until_said(scene, ENDS.format("File too large"))


def _remove(scene: Scene) -> None:
    shutil.rmtree(scene.out.parent)
    _until_said(scene, ENDS.format("it was removed"))


def _until_said(scene: Scene, line: str) -> None:
    """Wait until gdbfpu has said `line`, and for some hits more."""
    found = scene.gdb.wait_for(line)
    written = int(re.search(r"before hit (\d+)", found)[1]) - 1
    if scene.out.exists():
        checks.file(scene.out, written, written)
    scene.gdb.wait_for(rf"^ *{written + 5} ")


def _interrupt(scene: Scene) -> None:
    """Press ^C at any moment, and go on. Over KGDB, a kernel that runs does not hear it."""
    for _ in range(PRESSES):
        scene.wait_for_hits(1)
        scene.pause(0.1)
        scene.gdb.interrupt()
        if not scene.gdb.comes_back(HEARD):
            scene.stop()
        scene.go_on()
    found = re.findall(INTERRUPTED, scene.gdb.now(), re.MULTILINE)
    assert len(found) == PRESSES, f"{len(found)} of {PRESSES} times, gdbfpu said `interrupted`"


def _other_file(scene: Scene) -> None:
    """GDB is given another program, and then the kernel's again."""
    scene.ask("file /bin/sh", "symbol-file /bin/sh")
    scene.wait_for_hits(3)
    scene.ask(f"file {scene.lab.kernel.vmlinux}")


FAULTS = (
    Fault("GDB killed", _kill, "kernel"),
    Fault("GDB killed, fast trace", _kill, "kernel", options="--fast ring --rows 16"),
    Fault("disk full", _full, "running", (ENDS.format("File too large"),), whole=False),
    Fault("directory removed", _remove, "running", (ENDS.format("it was removed"),), whole=False),
    Fault("^C", _interrupt, "running"),
    Fault("a second `fpu-trace on`", lambda scene: scene.ask("fpu-trace on"), "running", (ON,)),
    Fault("`symbol-file` of nothing", lambda scene: scene.ask("symbol-file"), "running"),
    Fault("`file` of another program", _other_file, "running"),
    Fault("GDB's clock set back", lambda scene: scene.ask(BACK), "running"),
)
