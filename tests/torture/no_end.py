# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel whose list of tasks goes on and on: `python -m tests.torture.no_end TASKS`.

It prints seconds and the most KiB of memory that a report took.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

from fake_kernel import (
    COMM,
    FPU,
    PID,
    SIGNAL,
    TASKS,
    TGID,
    THREAD_HEAD,
    THREAD_NODE,
    QuickTarget,
    World,
    layouts_44,
)

from gdbfpu.commands.report import report_text
from gdbfpu.commands.report_options import ReportOptions
from gdbfpu.fpu import model as fpu
from gdbfpu.fpu.looks import Looks
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.report.report import collect
from gdbfpu.text.screen import PLAIN
from gdbfpu.trace.totals import Totals

_BASE, _APART = 0xFFFF900000000000, 0x10000


class Endless(QuickTarget):
    """A list of `count` tasks that nobody has written: each is made when it is read."""

    count = 0

    def read_memory(self, address: int, length: int) -> bytes:
        number, inside = divmod(address - _BASE, _APART)
        if not 0 <= number < self.count:
            return super().read_memory(address, length)
        base = _BASE + number * _APART
        task = bytearray(_APART)
        for offset, value in (
            (TASKS, base + _APART + TASKS), (THREAD_NODE, base + SIGNAL - 8),
            (SIGNAL, base + SIGNAL - 8 - THREAD_HEAD), (FPU, 1 << 32 | 1 << 40),
        ):  # fmt: skip
            task[offset : offset + 8] = value.to_bytes(8, "little")
        for offset in (PID, TGID):
            task[offset : offset + 4] = (number % (1 << 31)).to_bytes(4, "little")
        task[COMM : COMM + 16] = b"%016d" % (number % 10**15)
        return bytes(task[inside : inside + length])


def main(count: int) -> None:
    """Make a report of `count` tasks and more, and print what it took."""
    world = World(target=Endless())
    world.target.count = count
    first = world.add(1, b"init")
    world.run(first)
    world.target.put_int(first + TASKS, _BASE + TASKS)
    model = fpu.probe(Kernel(world.target, layouts_44()))
    began = time.monotonic()
    report = collect(Looks(model), Totals(), lambda _: None)
    text = report_text(report, ReportOptions(format="csv"), PLAIN)
    status = Path("/proc/self/status").read_text()
    most = int(re.findall(r"VmHWM:\s+(\d+)", status)[0])
    assert report.tasks > count or report.defects
    print(f"{report.tasks} tasks, {len(text)} characters")
    print(f"{time.monotonic() - began:.1f} s, {most} KiB")


if __name__ == "__main__":
    main(int(sys.argv[1]))
