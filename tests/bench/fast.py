# SPDX-License-Identifier: GPL-2.0-or-later
"""What a fast trace costs a program, beside no trace, ftrace and traces that stop at each hit."""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from qemu.catalogue import load
from qemu.console import PROMPT
from qemu.cpus import model_for
from qemu.errors import HarnessError
from qemu.guest import image
from qemu.kernels import Kernel, obtain
from qemu.session import kernel_name
from qemu.vm import Machine
from tests.vm.gdbrun import GdbRun

COMMAND = "python -m tests.bench fast"
SAVE = "copy_fpstate_to_sigframe"
_PROGRAMS = 4
_READY = "fpu-bench: ready"
_HERE = Path(__file__).parent
_FTRACE = (
    "cd /sys/kernel && mount -t tracefs none tracing && cd tracing && "
    f"echo 'p {SAVE}' > kprobe_events && echo 1 > events/kprobes/enable; cd /; "
    "cat /sys/kernel/tracing/events/kprobes/enable"
)
_NO_FTRACE = "echo 0 > /sys/kernel/tracing/events/kprobes/enable; umount /sys/kernel/tracing"

Row = dict[str, Any]


class Bench:
    """Programs that take signals as fast as they can, in a machine with two CPUs."""

    def __init__(self, kernel: Kernel, machine: Machine, stub: str, folder: Path) -> None:
        self._kernel, self._machine, self.stub, self._folder = kernel, machine, stub, folder

    def storm(self, signals: int) -> tuple[float, dict[int, int]]:
        """Return the seconds that the programs take, and the signals that each announces."""
        began = time.monotonic()
        said = self._machine.run(f"for i in 1 2 3 4; do sigstorm {signals} & done; wait", 900.0)
        seconds = time.monotonic() - began
        lines = re.findall(r"guest: sigstorm pid=(\d+) signals=(\d+) ok", said)
        if len(lines) != _PROGRAMS:
            raise HarnessError(f"the programs say {said!r}")
        return seconds, {int(pid): int(count) for pid, count in lines}

    def fast(self, options: str, signals: int) -> float:
        """Return the seconds that the programs take in a fast trace, which has each signal."""
        report = self._folder / f"report-{time.monotonic_ns()}"
        commands = (
            "source gdbfpu",
            f"fpu-trace on {options} --quiet --probe {SAVE}",
            f"echo {_READY}\\n",
            "continue",
            f"fpu-report --format json --out {report}",
            "fpu-trace off",
            "detach",
        )
        with self._gdb(*commands) as run:
            run.wait_for(_READY, 120.0)
            seconds, announced = self.storm(signals)
            self._stop(run)
            run.finish(1200.0)
        hits: Counter[int] = Counter()
        for row in json.loads(report.read_text())["tasks"]:
            hits[row["pid"]] += row["hits"].get(SAVE, 0)
        if {pid: hits[pid] for pid in announced} != announced:
            raise HarnessError(f"recorded {dict(hits)}, announced {announced}")
        return seconds

    def stopping(self, commands: tuple[str, ...]) -> float:
        """Return the hits per second of a trace that stops the kernel at each."""
        self._machine.run("sigstorm & sigstorm & sigstorm & sigstorm &", 20.0)
        with self._gdb(*commands, "detach") as run:
            output = run.finish(300.0)
        self._machine.run("for job in 1 2 3 4; do kill %$job; done; wait", 60.0)
        found = re.search(r"RATE ([0-9.]+)", output)
        if found is None:
            raise HarnessError(output[-2000:])
        return float(found[1])

    def ftrace(self, signals: int) -> float | None:
        """Return the seconds that the programs take with a kprobe event, None without ftrace."""
        if not self._machine.run(_FTRACE, 30.0).strip().endswith("1"):
            return None
        seconds, _ = self.storm(signals)
        self._machine.run(_NO_FTRACE, 30.0)
        return seconds

    def _gdb(self, *commands: str) -> GdbRun:
        socket = self._machine.gdbstub
        if self.stub == "kgdb":
            self._machine.break_in()
            socket = self._machine.kgdb
        return GdbRun(self._kernel, socket, commands, self._folder)

    def _stop(self, run: GdbRun) -> None:
        if self.stub == "kgdb":
            self._machine.break_in()
        else:
            run.interrupt()


def rows(*, quick: bool = False) -> list[Row]:
    """Measure the kernel that KERNEL names, over each of its stubs."""
    name = kernel_name()
    kernel = obtain(name)
    found = []
    for stub in load()[name].stubs:
        with (
            tempfile.TemporaryDirectory(prefix="gdbfpu-") as folder,
            Machine(
                kernel.bzimage, image.test_image(), cpu=model_for(kernel), parallel=True
            ) as machine,
        ):
            machine.boot(PROMPT, 120.0)
            bench = Bench(kernel, machine, stub, Path(folder))
            found += _measured(
                bench, f"{name}, {stub}", 1 if quick else 5, 200 if quick else 50_000
            )
    return found


def _measured(bench: Bench, where: str, runs: int, signals: int) -> list[Row]:
    few = signals // 4 if bench.stub == "kgdb" else signals  # a ring goes over the wire
    times: dict[str, list[float]] = {}
    for number in range(runs):
        _say(f"{where}: run {number + 1} of {runs}")
        for what, seconds in (
            ("no trace", bench.storm(signals)[0]),
            ("table", bench.fast("--fast", signals)),
            ("no trace, few", bench.storm(few)[0]),
            ("ring", bench.fast("--fast ring --rows 262144", few)),
            ("ftrace", bench.ftrace(signals)),
        ):
            if seconds is not None:
                times.setdefault(what, []).append(seconds)
    medians = {what: median(values) for what, values in times.items()}
    _say(f"{where}: {medians}")
    stops = _stops(bench, 20 if runs == 1 else 300)
    total, small = _PROGRAMS * signals, _PROGRAMS * few
    kprobe = {"ftrace, a kprobe event": medians["ftrace"]} if "ftrace" in medians else {}
    rates = {**stops, **{name: total / seconds for name, seconds in kprobe.items()}}
    return [
        _row(f"{total:,} signals, --fast, {where}", medians["table"], runs,
             {"no trace": medians["no trace"], **kprobe}),
        _row(f"{small:,} signals, --fast ring, {where}", medians["ring"], runs,
             {"no trace": medians["no trace, few"]}),
        {"what": f"hits recorded, --fast, {where}", "ours": total / medians["table"],
         "unit": "hits/s", "rivals": rates, "reach": "", "command": COMMAND, "runs": runs},
    ]  # fmt: skip


def _row(what: str, ours: float, runs: int, rivals: dict[str, float]) -> Row:
    """Return the row of a time, which may be 1.3 times that without a trace."""
    reach = f"at most {1.3 * rivals['no trace']:.2f} s"
    return {"what": what, "ours": ours, "unit": "s", "rivals": rivals, "reach": reach,
            "command": COMMAND, "runs": runs}  # fmt: skip


def _stops(bench: Bench, hits: int) -> dict[str, float]:
    """Return the hits per second of what stops at each hit.

    GDB's own breakpoint can hang a kernel with two CPUs in KGDB; the part `wire` has it on one.
    """
    trace = f"fpu-trace on --quiet --backtrace 0 --limit {hits}"
    ours = ("source gdbfpu", f"source {_HERE}/rate.py", trace, "continue", "python rate()")
    rates = {"stopping trace": bench.stopping(ours)}
    if bench.stub == "qemu":
        rival = (f"source {_HERE}/rivals.py", f"python nothing({hits})", "delete")
        rates["do-nothing breakpoint"] = bench.stopping(rival)
    return rates


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
