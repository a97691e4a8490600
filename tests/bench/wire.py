# SPDX-License-Identifier: GPL-2.0-or-later
"""What a trace costs on the wire and in time, beside the ways there are without gdbfpu.

`rows()` measures; `python -m tests.bench.wire` prints what it measured, as JSON lines.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from qemu.console import PROMPT
from qemu.guest import image
from qemu.kernels import Kernel, obtain
from qemu.session import kernel_name
from qemu.vm import Machine
from tests.vm.gdbrun import GdbRun
from tests.vm.wire import Wire

RUNS = 5
HITS = 800
FEW = 40  # hits with full state and a backtrace
BY_HAND = 5  # hits looked at by hand
TASKS = 2000
LOAD = "sigstorm & sigstorm & sigstorm & sigstorm &"
COMMAND = "python -m tests.bench.wire"
HERE = Path(__file__).parent

_TRACE = "fpu-trace on --quiet --backtrace 0 --limit"
_FULL = f"fpu-trace on --quiet --state full --backtrace 8 --limit {FEW}"
_RATE = re.compile(r"RATE ([0-9.]+)")

Row = dict[str, Any]


class Bench:
    """Two machines under the same load, one with two CPUs and one with one; one runs at a time."""

    def __init__(self, kernel: Kernel, folder: Path, two: Machine, one: Machine) -> None:
        self.kernel, self.folder, self.two, self.one = kernel, folder, two, one

    def output(
        self, machine: Machine, stub: str, commands: Sequence[str], wire: list[Wire] | None = None
    ) -> str:
        """Run GDB on `machine` over `stub` and return its output; `wire` takes what counted."""
        machine.monitor.execute("cont")
        if stub == "kgdb":
            machine.break_in()
        socket = machine.kgdb if stub == "kgdb" else machine.gdbstub
        try:
            if wire is None:
                with GdbRun(self.kernel, socket, [*commands, "detach"], self.folder) as gdb:
                    return gdb.finish()
            with (
                Wire(socket, self.folder) as counting,
                GdbRun(self.kernel, counting.path, [*commands, "detach"], self.folder) as gdb,
            ):
                wire.append(counting)
                return gdb.finish()
        finally:
            machine.monitor.execute("stop")

    def ours(self, stub: str, trace: str) -> float:
        """Return the hits per second of a trace."""
        commands = ["source gdbfpu", f"source {HERE}/rate.py", trace, "continue", "python rate()"]
        return _rate(self.output(self.two, stub, commands))

    def rival(self, machine: Machine, stub: str, name: str, hits: int) -> float:
        """Return the hits per second of a rival of tests/bench/rivals.py."""
        commands = [f"source {HERE}/rivals.py", f"python {name}({hits})", "delete"]
        return _rate(self.output(machine, stub, commands))


def _rate(output: str) -> float:
    found = _RATE.search(output)
    assert found, output[-2000:]
    return float(found[1])


@contextmanager
def machines(accelerator: str) -> Iterator[Bench]:
    """Boot both machines, once for all that is measured on them."""
    kernel = obtain(kernel_name())
    two = Machine(kernel.bzimage, image.test_image())
    one = Machine(kernel.bzimage, image.test_image(), smp=1)
    with tempfile.TemporaryDirectory(prefix="gdbfpu-") as folder, two, one:
        for machine in (two, one):
            machine.accelerator = accelerator
            machine.boot(PROMPT, 120.0)
            machine.run(LOAD, 10.0)
            machine.monitor.execute("stop")
        yield Bench(kernel, Path(folder), two, one)


def row(
    what: str, ours: float, unit: str, rivals: dict[str, float], reach: str, **more: Any
) -> Row:
    """Return a row; its ratio is ours by the first rival."""
    first = next(iter(rivals.values()), None)
    return {
        "what": what,
        "ours": ours,
        "unit": unit,
        "rivals": rivals,
        "ratio": ours / first if first else None,
        "reach": reach,
        "command": COMMAND,
        "runs": more.pop("runs", RUNS),
        "note": more.pop("note", ""),
    }


def speed(bench: Bench, stub: str, reach: str, note: str) -> Row:
    """Hits per second against a breakpoint that does nothing, each run beside the other."""
    ours, nothing = [], []
    for _ in range(RUNS):
        ours.append(bench.ours(stub, f"{_TRACE} {HITS}"))
        nothing.append(bench.rival(bench.one, stub, "nothing", HITS))
    what = f"hits per second, {stub}, 2 CPUs, identity and header, no backtrace"
    rivals = {"Python breakpoint that only counts, 1 CPU": median(nothing)}
    return row(what, median(ours), "hits/s", rivals, reach, note=note)


def by_hand(bench: Bench) -> Row:
    """Hits per second with everything, against the commands a person would type."""
    ours, manual = [], []
    for _ in range(RUNS):
        ours.append(bench.ours("kgdb", _FULL))
        manual.append(bench.rival(bench.one, "kgdb", "by_hand", BY_HAND))
    rivals = {"`bt`, `info threads`, `print task->thread.fpu`, 1 CPU": median(manual)}
    what = "hits per second, kgdb, 2 CPUs, identity, full state, backtrace of 8"
    return row(what, median(ours), "hits/s", rivals, ">= 15 x")


def packets(bench: Bench) -> list[Row]:
    """Packets and bytes of a hit against those of a breakpoint that does nothing."""
    wires: list[Wire] = []
    bench.output(bench.two, "kgdb", ["source gdbfpu", f"{_TRACE} {HITS}", "continue"], wires)
    commands = [f"source {HERE}/rivals.py", f"python nothing({HITS})", "delete"]
    bench.output(bench.one, "kgdb", commands, wires)
    ours, nothing = (wire.hits()[: HITS - 1] for wire in wires)
    sent = [float(median(len(hit.sent) for hit in hits)) for hits in (ours, nothing)]
    size = [float(median(hit.bytes for hit in hits)) for hits in (ours, nothing)]
    rival = "Python breakpoint that only counts"
    return [
        row("packets sent per hit, kgdb, identity and header", sent[0], "packets",
            {rival: sent[1]}, "<= 10", runs=1),
        row("bytes per hit, kgdb, both directions, header level", size[0], "bytes",
            {rival: size[1]}, "<= 600 more", runs=1, note=f"{size[0] - size[1]:.0f} more"),
    ]  # fmt: skip


def walk(bench: Bench) -> Row:
    """Reads per task of a walk over many tasks, against a walk as `lx-ps` makes it."""
    bench.two.monitor.execute("cont")
    said = bench.two.run(f"sleepers {TASKS} & sleep 6", 60.0)
    assert f"tasks={TASKS} ok" in said, said
    wires: list[Wire] = []
    begin, end = "maint packet qBegin", "maint packet qEnd"
    started = [f"source {HERE}/rivals.py", "source gdbfpu", "fpu-info"]
    report = ["python clock()", begin, "fpu-report", end, "python clock()"]
    ps = ["python clock()", begin, "python lx_ps()", end, "python clock()"]
    outputs = [bench.output(bench.two, "qemu", [*started, *way], wires) for way in (report, ps)]
    counts, seconds = [], []
    for wire, output in zip(wires, outputs, strict=True):
        reads = [packet for packet in wire.between("qBegin", "qEnd") if packet.startswith("m")]
        times = re.findall(r"CLOCK ([0-9.]+)", output)
        counts.append(len(reads) / TASKS)
        seconds.append(float(times[1]) - float(times[0]))
    note = f"{seconds[0]:.2f} s, with FPU use; the rival {seconds[1]:.2f} s, pid and name only"
    rivals = {"a walk with gdb.Value as Linux's lx-ps makes it": counts[1]}
    what = f"task walk of fpu-report, gdbstub, {TASKS} tasks"
    return row(what, counts[0], "reads/task", rivals, "<= 3", runs=1, note=note)


def first_hit(bench: Bench) -> Row:
    """Seconds from the start of GDB to the first hit that is recorded."""
    trace = ["source gdbfpu", f"source {HERE}/rate.py", f"{_TRACE} 1", "continue"]
    trace.append("python first()")
    nothing = [f"source {HERE}/rivals.py", "python nothing(1)", "delete"]
    ours: list[float] = []
    plain: list[float] = []
    for _ in range(RUNS):
        for found, machine, commands in (
            (ours, bench.two, trace),
            (plain, bench.one, nothing),  # with two CPUs, a detach at a hit hangs the kernel
        ):
            started = time.time()
            output = bench.output(machine, "kgdb", commands)
            match = re.search(r"FIRST ([0-9.]+)", output)
            assert match, output[-2000:]
            found.append(float(match[1]) - started)
    rivals = {"Python breakpoint that only counts, 1 CPU": median(plain)}
    return row("time to the first hit, kgdb", median(ours), "s", rivals, "")


def memory() -> Row:
    """What 1,000,000 hits of 1,000 tasks add to GDB's memory, with a kernel that is in memory."""
    argv = ["gdb", "-nx", "-batch", "-ex", f"directory {HERE.parents[1]}/scripts"]
    argv += ["-ex", "source gdbfpu", "-ex", f"source {HERE}/memory.py"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=600.0, check=True)
    found = re.search(r"RSS start=(\d+) early=(\d+) end=(\d+)", done.stdout)
    assert found, done.stdout + done.stderr
    start, early, end = (int(kb) / 1024 for kb in found.groups())
    note = f"{end - early:.1f} MB of it after the first 10,000; {start:.0f} MB at GDB's start"
    what = "memory of 1,000,000 hits of 1,000 tasks, beyond GDB's start"
    return row(what, end - start, "MB", {}, "<= 150", runs=1, note=note)


def rows() -> list[Row]:
    """Measure everything; it takes some minutes."""
    return list(_measured())


def _measured() -> Iterator[Row]:
    with machines("tcg") as bench:
        yield from packets(bench)
        yield speed(bench, "kgdb", ">= 1.0 x", "QEMU with a thread for each CPU")
        yield speed(bench, "qemu", ">= 0.9 x", "QEMU with a thread for each CPU")
        yield by_hand(bench)
        yield first_hit(bench)
        yield walk(bench)
    with machines("tcg,thread=single") as bench:
        note = "QEMU with one thread: a CPU that waits in KGDB takes no core from GDB"
        yield speed(bench, "kgdb", ">= 1.0 x", note)
    yield memory()


if __name__ == "__main__":
    for each in _measured():
        print(json.dumps(each), flush=True)
