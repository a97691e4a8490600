# SPDX-License-Identifier: GPL-2.0-or-later
"""What audits cost: of all tasks of a stopped kernel, and of each call in a trace.

Nothing else audits FPU memory. So a trace with `--audit` is measured beside the same one without,
and the audit of a kernel beside the walk that lists its tasks.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from tests.bench.measure import median
from tests.bench.wire import Bench, machines, row

_RUNS = 5
_TASKS = 1000
_HITS = {"qemu": 300, "kgdb": 60}
_TRACE = "fpu-trace on --quiet --backtrace 0 --limit {}"
_COMMAND = "python -m tests.bench audit"


def rows(quick: bool = False) -> list[dict[str, Any]]:
    """Measure audits; return a row for the audit of many tasks and one for a trace by each stub."""
    tasks, runs = (20, 1) if quick else (_TASKS, _RUNS)
    hits = dict.fromkeys(_HITS, 5) if quick else _HITS
    with machines("tcg") as bench:
        threads = "QEMU with a thread for each CPU"
        found = [_trace(bench, stub, runs, hits[stub], threads) for stub in ("kgdb", "qemu")]
        found.append(_walk(bench, tasks, runs))
    with machines("tcg,thread=single") as bench:
        found.append(_trace(bench, "kgdb", runs, hits["kgdb"], "QEMU with one thread"))
    return found


def _trace(bench: Bench, stub: str, runs: int, hits: int, threads: str) -> dict[str, Any]:
    plain, audited = [], []
    for number in range(runs):
        _say(f"a trace of {hits} hits over {stub}, run {number + 1} of {runs}")
        plain.append(bench.ours(stub, _TRACE.format(hits)))
        audited.append(bench.ours(stub, f"{_TRACE.format(hits)} --audit"))
    return row(
        f"hits per second, {stub}, 2 CPUs, each call audited when it returns ({threads})",
        median(audited),
        "hits/s",
        {"the same trace without --audit": median(plain)},
        "at least 0.5 x" if stub == "kgdb" else "",
        command=_COMMAND,
        runs=runs,
        note="two stops a hit; the area at entry, and the frame on the user stack",
    )


def _walk(bench: Bench, tasks: int, runs: int) -> dict[str, Any]:
    bench.two.monitor.execute("cont")
    said = bench.two.run(f"sleepers {tasks} & sleep 6", 60.0)
    assert f"tasks={tasks} ok" in said, said
    audits, reports = [], []
    for number in range(runs):
        _say(f"an audit of {tasks} tasks, run {number + 1} of {runs}")
        audit, report = _seconds(bench, tasks)
        audits.append(audit)
        reports.append(report)
    return row(
        f"`fpu-audit --all` of {tasks:,} tasks, gdbstub",
        median(audits),
        "s",
        {"`fpu-report`, which lists them": median(reports)},
        "",
        command=_COMMAND,
        runs=runs,
    )


def _seconds(bench: Bench, tasks: int) -> tuple[float, float]:
    """Return how long an audit of all tasks and a report take in one session."""
    clock = "python import time; print('CLOCK', time.monotonic())"
    commands = ["source gdbfpu", "fpu-info", clock, "fpu-audit --all", clock, "fpu-report", clock]
    output = bench.output(bench.two, "qemu", commands)
    begun, audited, done = (float(time) for time in re.findall(r"CLOCK ([0-9.]+)", output))
    (looked_at,) = re.findall(r"^fpu-audit: .* in (\d+) tasks;", output, re.MULTILINE)
    assert int(looked_at) >= tasks, output[-2000:]
    return audited - begun, done - audited


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
