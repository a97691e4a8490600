# SPDX-License-Identifier: GPL-2.0-or-later
"""The report of an event file: time and memory for 1,000,000 hits of 1,000 tasks.

jq is the tool that one would take for such a file; a loop of `json.loads` is what any reader in
Python costs at least.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qemu.gdbs import gdb_program
from tests.bench.eventfile import write_events
from tests.bench.measure import Usage, median, run

_ROOT = Path(__file__).resolve().parents[2]
_DEADLINE = 600.0  # seconds for one run of one of them
_GDB, _CLI, _JQ, _LOOP = "fpu-report", "gdbfpu report", "jq", "json.loads in a loop"
_REACH = {"s": "at most 15 s", "MB": "at most 300 MB"}
# Six times as fast as `.[$name] += 1`, which copies the object.
_JQ_SCRIPT = 'reduce (inputs | .comm // "") as $name ({}; .[$name] = .[$name] + 1)'
_LOOP_SCRIPT = """
import collections, json, sys
counts = collections.Counter()
with open(sys.argv[1]) as stream:
    for line in stream:
        counts[json.loads(line).get("comm", "")] += 1
print(json.dumps(counts))
"""
_COMMANDS = {
    _GDB: "gdb -batch -ex 'source gdbfpu' -ex 'fpu-report --from hits.jsonl --format json --out F'",
    _CLI: "python -m gdbfpu report --from hits.jsonl --format json",
}


def rows(quick: bool = False) -> list[dict[str, Any]]:
    """Measure the report of an event file; return a row for each place, of time and of memory."""
    hits, tasks, runs = (2_000, 100, 1) if quick else (1_000_000, 1_000, 5)
    usages: dict[str, list[Usage]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="gdbfpu-") as folder:
        file = Path(folder) / "hits.jsonl"
        _say(f"writing an event file of {hits:,} hits")
        write_events(file, hits, tasks)
        for number in range(runs):
            for name, once in _CONTENDERS.items():
                if name == _JQ and shutil.which("jq") is None:
                    continue
                _say(f"{name}, run {number + 1} of {runs}")
                usages[name].append(once(file, hits, tasks))
    what = f"of {hits:,} hits of {tasks:,} tasks in a file"
    return [
        _row(name, f"`{name}` {what}, {word}", unit, usages)
        for name in (_GDB, _CLI)
        for word, unit in (("time", "s"), ("peak memory", "MB"))
    ]


def _row(name: str, what: str, unit: str, usages: dict[str, list[Usage]]) -> dict[str, Any]:
    def middle(who: str) -> float:
        used = [each.seconds if unit == "s" else each.megabytes for each in usages[who]]
        return round(median(used), 3)

    return {
        "what": what,
        "ours": middle(name),
        "unit": unit,
        "rivals": {rival: middle(rival) for rival in (_JQ, _LOOP) if rival in usages},
        "reach": _REACH[unit],
        "command": _COMMANDS[name],
        "runs": len(usages[name]),
        "note": "the rivals count lines by `comm`, and no more"
        + ("" if _JQ in usages else "; jq is not installed"),
    }


def _gdb(file: Path, hits: int, tasks: int) -> Usage:
    out = file.with_name("report.json")
    out.unlink(missing_ok=True)
    command = f"fpu-report --from {file} --format json --out {out}"
    argv = [gdb_program(), "-nx", "-batch", "-iex", f"directory {_ROOT / 'scripts'}"]
    usage = run([*argv, "-ex", "source gdbfpu", "-ex", command], _DEADLINE)
    _check_report(out.read_text(), hits, tasks)
    return usage


def _command_line(file: Path, hits: int, tasks: int) -> Usage:
    words = ["report", "--from", str(file), "--format", "json"]
    usage = run([sys.executable, "-m", "gdbfpu", *words], _DEADLINE, _ROOT)
    _check_report(usage.output, hits, tasks)
    return usage


def _check_report(text: str, hits: int, tasks: int) -> None:
    report = json.loads(text)
    users = sum(bool(number % 3) for number in range(tasks))
    totals = report["totals"]
    assert (totals["tasks"], totals["using_fpu"], totals["hits"]) == (tasks, users, hits)
    assert {sum(t["hits"].values()) for t in report["tasks"]} == {hits // tasks}
    assert report["defects"] == []


def _jq(file: Path, hits: int, tasks: int) -> Usage:
    return _counted(["jq", "-n", _JQ_SCRIPT, str(file)], hits, tasks)


def _loop(file: Path, hits: int, tasks: int) -> Usage:
    return _counted([sys.executable, "-c", _LOOP_SCRIPT, str(file)], hits, tasks)


def _counted(argv: list[str], hits: int, tasks: int) -> Usage:
    usage = run(argv, _DEADLINE)
    counts = json.loads(usage.output)
    assert counts.pop("") == 1  # the header
    assert (len(counts), sum(counts.values())) == (tasks, hits)
    return usage


_CONTENDERS: dict[str, Callable[[Path, int, int], Usage]] = {
    _GDB: _gdb,
    _CLI: _command_line,
    _JQ: _jq,
    _LOOP: _loop,
}


def _say(text: str) -> None:
    print(f"events: {text} ...", file=sys.stderr, flush=True)
