# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile files, by the ten thousand: images, cores, debug information, event files, dumps."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.torture.fuzz.judge import Progress
from tests.torture.fuzz.target import ROOT, Target, load
from tests.torture.row import Row

__all__ = ("TARGETS", "fuzzed", "rows")

TARGETS = ("xsave", "cores", "layouts", "events", "dumps")
"""The modules of tests/torture/fuzz with a TARGET."""

_SEED = 17
_STUCK = 60.0  # seconds for one input, by the clock; its own limits are far below
_MOST_DEATHS = 5  # of the process of one target
_KEPT = ROOT / "build" / "torture"  # inputs that failed


def rows(divisor: int) -> Iterator[Row]:
    """Yield a row for each target."""
    for name in TARGETS:
        target = load(name)
        yield fuzzed(name, target, target.runs // divisor)


def fuzzed(name: str, target: Target, runs: int, kept: Path = _KEPT) -> Row:
    """Return how `target`, the one called `name`, stands `runs` inputs; put failing ones in `kept`.

    The target runs in a process of its own. If that dies, another goes on with the next input.
    """
    with tempfile.TemporaryDirectory(prefix="gdbfpu-fuzz-") as folder:
        place = Path(folder)
        _plant_seeds(name, target, place)
        progress, failures, deaths = Progress(place / "progress"), list[tuple[str, bytes]](), 0
        while progress.count < runs and deaths < _MOST_DEATHS:
            died = _run(name, runs, _SEED + deaths, place, progress)
            if died:
                failures.append((died, progress.latest))
                deaths += 1
                _forget(place / "seeds", progress.latest)
        failures += _failures(place / "failures")
        said = tuple(_keep(name, kept, number, *each) for number, each in enumerate(failures, 1))
        return Row(target.what, progress.count, said)


def _plant_seeds(name: str, target: Target, place: Path) -> None:
    """Write the seeds, and the inputs that once failed, for libFuzzer to begin with."""
    (place / "work").mkdir()
    (place / "seeds").mkdir()
    made = [*target.seeds(place / "work")]
    found = sorted((ROOT / "tests/data/fuzz" / name).glob("*"))
    for number, data in enumerate((*made, *(file.read_bytes() for file in found))):
        (place / "seeds" / f"{number:04}").write_bytes(data)
    shutil.rmtree(place / "work")


def _forget(seeds: Path, data: bytes) -> None:
    """Remove a seed that ends the process."""
    for file in seeds.iterdir():
        if file.read_bytes() == data:
            file.unlink()


def _run(name: str, runs: int, seed: int, place: Path, progress: Progress) -> str:
    """Let a process fuzz; return how it died, or an empty text if it has done all `runs`."""
    words = [sys.executable, "-m", "tests.torture.fuzz.child", name, str(runs), str(seed)]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "GDBFPU_CACHE": "off", "TMPDIR": str(place)}
    with (place / "log").open("wb") as log:
        child = subprocess.Popen(
            [*words, str(place)], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        status = _watched(child, progress)
    if status == 0 and progress.count >= runs:
        return ""
    if status < 0:
        return f"died of {signal.Signals(-status).name}"
    last = (place / "log").read_text(errors="replace").strip().splitlines()[-1:]
    return f"ended with status {status}: {''.join(last):.200}"


def _watched(child: subprocess.Popen[bytes], progress: Progress) -> int:
    """Wait until `child` ends or is stuck at one input, and is then killed; return its status."""
    seen, since = progress.count, time.monotonic()
    while True:
        try:
            return child.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            pass
        if progress.count != seen:
            seen, since = progress.count, time.monotonic()
        elif time.monotonic() - since > _STUCK:
            os.killpg(child.pid, signal.SIGKILL)  # with what it has forked off


def _failures(file: Path) -> Iterator[tuple[str, bytes]]:
    for line in file.read_text().splitlines() if file.exists() else ():
        failure = json.loads(line)
        yield failure["said"], bytes.fromhex(failure["input"])


def _keep(name: str, kept: Path, number: int, said: str, data: bytes) -> str:
    """Write the input that failed; return a line that says so."""
    kept.mkdir(parents=True, exist_ok=True)
    file = kept / f"{name}-{number}"
    file.write_bytes(data)
    return f"{said}; the input is {file}"
