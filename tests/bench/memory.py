# SPDX-License-Identifier: GPL-2.0-or-later
"""Sourced by GDB after gdbfpu: trace $HITS hits of 1,000 tasks of a kernel in memory."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "unit")]


def resident() -> int:
    """Return this process's memory in KiB (VmRSS)."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+)", status, re.MULTILINE)[1])


START = resident()

from fake_kernel import QuickTarget, World, layouts_44  # noqa: E402

from gdbfpu.fpu import model as fpu  # noqa: E402
from gdbfpu.fpu.looks import Looks  # noqa: E402
from gdbfpu.kernel.tasks import Kernel  # noqa: E402
from gdbfpu.probes.catalogue import CATALOGUE  # noqa: E402
from gdbfpu.trace.totals import Totals  # noqa: E402
from gdbfpu.trace.tracer import Options, Tracer  # noqa: E402

TASKS, HITS = 1000, int(os.environ["HITS"])
EARLY = min(10_000, HITS // 2)


def main() -> None:
    world = World(target=QuickTarget())
    tasks = [world.add(pid, b"task %d" % pid, linked=False) for pid in range(TASKS)]
    kernel = Kernel(world.target, layouts_44())
    tracer = Tracer(Looks(fpu.probe(kernel)), Options(), Totals(), None)
    probe = next(p for p in CATALOGUE if p.function == "copy_fpstate_to_sigframe")
    early = 0
    for i in range(HITS):
        world.run(tasks[1 + i % (TASKS - 1)], i % 2)
        caught = tracer.hit(probe, *kernel.current())
        tracer.add(caught)
        if i + 1 == EARLY:
            early = resident()
    assert tracer.totals.hits == HITS
    print(f"RSS start={START} early={early} end={resident()}")


main()
