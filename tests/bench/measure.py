# SPDX-License-Identifier: GPL-2.0-or-later
"""A program's time and peak memory."""

from __future__ import annotations

import statistics
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_LOOK = 0.02  # seconds between two looks at a program's memory


@dataclass(frozen=True)
class Usage:
    """What a run took: seconds by the wall's clock, and its peak resident set in MB (10^6)."""

    seconds: float
    megabytes: float
    output: str


def run(argv: Sequence[str], deadline: float, cwd: Path | None = None) -> Usage:
    """Run a program to its end and return what it took.

    Raises CalledProcessError when it fails, TimeoutExpired when it is not done by the deadline.
    """
    started = time.monotonic()
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, cwd=cwd
    ) as process:
        watch = _Watch(process.pid)
        watch.start()
        try:
            output, _ = process.communicate(timeout=deadline)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            seconds = time.monotonic() - started
            watch.done.set()
            watch.join()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(argv), output)
    return Usage(seconds, watch.peak / 1e6, output)


def median(values: Sequence[float]) -> float:
    """Return the median of `values`, at least one."""
    return float(statistics.median(values))


class _Watch(threading.Thread):
    """Looks at a process's peak resident set, in bytes, until told that it is done.

    The kernel's own account of an ended child (`ru_maxrss`) would do, if it did not begin with
    the memory of the process that started it.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.done = threading.Event()
        self.peak = 0
        self._status = Path(f"/proc/{pid}/status")

    def run(self) -> None:
        while not self.done.wait(_LOOK):
            try:
                lines = self._status.read_text().splitlines()
            except OSError:
                return
            for line in lines:
                if line.startswith("VmHWM:"):
                    self.peak = max(self.peak, int(line.split()[1]) * 1024)
