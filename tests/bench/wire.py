# SPDX-License-Identifier: GPL-2.0-or-later
"""What a trace costs on the wire and in time, beside the ways there are without gdbfpu.

A kernel under KGDB that has two CPUs is measured on QEMU with a thread for each, where the one that
waits takes a core from the debugger, and on QEMU with one thread, where it does not.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from qemu.console import PROMPT
from qemu.errors import MachineLost
from qemu.gdbs import gdb_program
from qemu.guest import image
from qemu.kernels import Kernel, obtain
from qemu.session import kernel_name
from qemu.vm import Machine
from tests.vm.gdbrun import GdbRun
from tests.vm.wire import Wire

LOAD = "sigstorm & sigstorm & sigstorm & sigstorm &"
COMMAND = "python -m tests.bench wire"
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Sizes:
    """How much is measured: `few` hits with full state and a backtrace, `by_hand` by a person."""

    runs: int
    hits: int
    few: int
    by_hand: int
    tasks: int
    total: int  # of the trace whose memory is measured


_WHOLE = Sizes(runs=5, hits=400, few=40, by_hand=5, tasks=2000, total=1_000_000)
_QUICK = Sizes(runs=1, hits=5, few=2, by_hand=1, tasks=20, total=2_000)
_TRACE = "fpu-trace on --quiet --backtrace 0 --limit"
_FULL = "fpu-trace on --quiet --state full --backtrace 8 --limit"
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
            _break_in(machine)
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


def _break_in(machine: Machine) -> None:
    """Have the machine enter KGDB; under this load a BREAK can be lost, and is sent again."""
    try:
        machine.break_in()
    except MachineLost:
        _say("the kernel did not enter KGDB in 10 s; trying once more")
        machine.break_in()


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
    """Return a row; `more` are its other fields."""
    required = {"what": what, "ours": ours, "unit": unit, "rivals": rivals, "reach": reach}
    return {**required, "command": COMMAND, **more}


def speed(bench: Bench, sizes: Sizes, stub: str, reach: str, note: str) -> Row:
    """Hits per second against a breakpoint that does nothing, each run beside the other."""
    ours, nothing = [], []
    for number in range(sizes.runs):
        _say(f"{sizes.hits} hits over {stub}, run {number + 1} of {sizes.runs}")
        ours.append(bench.ours(stub, f"{_TRACE} {sizes.hits}"))
        nothing.append(bench.rival(bench.one, stub, "nothing", sizes.hits))
    what = f"hits per second, {stub}, 2 CPUs, identity and header, no backtrace ({note})"
    rivals = {"Python breakpoint that only counts, 1 CPU": median(nothing)}
    return row(what, median(ours), "hits/s", rivals, reach, runs=sizes.runs)


def by_hand(bench: Bench, sizes: Sizes, note: str) -> Row:
    """Hits per second with everything, against the commands a person would type."""
    ours, manual = [], []
    for number in range(sizes.runs):
        _say(f"{sizes.few} whole states over kgdb, run {number + 1} of {sizes.runs}")
        ours.append(bench.ours("kgdb", f"{_FULL} {sizes.few}"))
        manual.append(bench.rival(bench.one, "kgdb", "by_hand", sizes.by_hand))
    rivals = {"`bt`, `info threads`, `print task->thread.fpu`, 1 CPU": median(manual)}
    what = f"hits per second, kgdb, 2 CPUs, identity, full state, backtrace of 8 ({note})"
    return row(what, median(ours), "hits/s", rivals, "at least 15 x", runs=sizes.runs)


def packets(bench: Bench, sizes: Sizes) -> list[Row]:
    """Packets and bytes of a hit against those of a breakpoint that does nothing."""
    _say("packets and bytes")
    wires: list[Wire] = []
    trace = ["source gdbfpu", f"{_TRACE} {sizes.hits}", "continue"]
    bench.output(bench.two, "kgdb", trace, wires)
    commands = [f"source {HERE}/rivals.py", f"python nothing({sizes.hits})", "delete"]
    bench.output(bench.one, "kgdb", commands, wires)
    ours, nothing = (wire.hits()[: sizes.hits - 1] for wire in wires)
    sent = [float(median(len(hit.sent) for hit in hits)) for hits in (ours, nothing)]
    size = [float(median(hit.bytes for hit in hits)) for hits in (ours, nothing)]
    rival = "Python breakpoint that only counts"
    more = size[0] - size[1]
    return [
        row("packets sent per hit, kgdb, identity and header", sent[0], "packets",
            {rival: sent[1]}, "at most 8 packets", runs=1),
        row("bytes per hit, kgdb, both directions, header level", size[0], "bytes",
            {rival: size[1]}, "at most 600 more than it", runs=1, met=more <= 600,
            note=f"{more:.0f} more"),
    ]  # fmt: skip


def walk(bench: Bench, sizes: Sizes) -> Row:
    """Reads per task of a walk over many tasks, against a walk as `lx-ps` makes it."""
    _say(f"a walk over {sizes.tasks} tasks")
    bench.two.monitor.execute("cont")
    said = bench.two.run(f"sleepers {sizes.tasks} & sleep 6", 60.0)
    assert f"tasks={sizes.tasks} ok" in said, said
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
        counts.append(len(reads) / sizes.tasks)
        seconds.append(float(times[1]) - float(times[0]))
    note = f"{seconds[0]:.2f} s, with FPU use; the rival {seconds[1]:.2f} s, pid and name only"
    rivals = {"a walk with gdb.Value as Linux's lx-ps makes it": counts[1]}
    what = f"task walk of fpu-report, gdbstub, {sizes.tasks:,} tasks"
    reach = "at most 3 reads/task"
    return row(what, counts[0], "reads/task", rivals, reach, runs=1, note=note)


def first_hit(bench: Bench, sizes: Sizes) -> Row:
    """Seconds from the start of GDB to the first hit that is recorded."""
    trace = ["source gdbfpu", f"source {HERE}/rate.py", f"{_TRACE} 1", "continue"]
    trace.append("python first()")
    nothing = [f"source {HERE}/rivals.py", "python nothing(1)", "delete"]
    ours: list[float] = []
    plain: list[float] = []
    for number in range(sizes.runs):
        _say(f"the first hit, run {number + 1} of {sizes.runs}")
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
    what = "time to the first hit, kgdb"
    return row(what, median(ours), "s", rivals, "", runs=sizes.runs)


def memory(sizes: Sizes) -> Row:
    """What 1,000,000 hits of 1,000 tasks add to GDB's memory, with a kernel that is in memory."""
    _say(f"the memory of {sizes.total:,} hits")
    argv = [gdb_program(), "-nx", "-batch", "-ex", f"directory {HERE.parents[1]}/scripts"]
    argv += ["-ex", "source gdbfpu", "-ex", f"source {HERE}/memory.py"]
    env = {**os.environ, "HITS": str(sizes.total)}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=600.0, check=True, env=env)
    found = re.search(r"RSS start=(\d+) early=(\d+) end=(\d+)", done.stdout)
    assert found, done.stdout + done.stderr
    start, early, end = (int(kb) / 1024 for kb in found.groups())
    note = f"{end - early:.1f} MB of it after the first 10,000; {start:.0f} MB at GDB's start"
    what = f"memory of {sizes.total:,} hits of 1,000 tasks, beyond GDB's start"
    return row(what, end - start, "MB", {}, "at most 150 MB", runs=1, note=note)


def rows(quick: bool = False) -> list[Row]:
    """Measure everything; it takes some minutes."""
    return list(_measured(_QUICK if quick else _WHOLE))


def _measured(sizes: Sizes) -> Iterator[Row]:
    threads = "QEMU with a thread for each CPU"
    with machines("tcg") as bench:
        yield from packets(bench, sizes)
        yield speed(bench, sizes, "kgdb", "at least 1.0 x", threads)
        yield speed(bench, sizes, "qemu", "at least 0.9 x", threads)
        yield by_hand(bench, sizes, threads)
        yield first_hit(bench, sizes)
        yield walk(bench, sizes)
    with machines("tcg,thread=single") as bench:
        yield speed(bench, sizes, "kgdb", "at least 1.0 x", "QEMU with one thread")
        yield by_hand(bench, sizes, "QEMU with one thread")
    yield memory(sizes)


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
