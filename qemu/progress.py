# SPDX-License-Identifier: GPL-2.0-or-later
"""Progress of long steps, and commands that report it."""

from __future__ import annotations

import ctypes
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from qemu.errors import SetupError

__all__ = ("Progress", "die_with_parent", "failure_lines", "run_long")

_PR_SET_PDEATHSIG = 1
_TICK = 1.0  # seconds between two looks at a silent command
_PLAIN_INTERVAL = 10.0  # seconds between two lines where lines cannot be rewritten
_SHOWN = 15  # lines of output that show a failure
# A step as Kbuild announces it (`quiet_cmd`), a failed target of make, an error of GNU tools.
_STEP = re.compile(r"  [A-Z][A-Z0-9_]* +\S")
_MAKE_FAILED = re.compile(r"make(?:\[\d+\])?: \*\*\* \[")
_ERROR = re.compile(r"\berror: ")


class Progress:
    """Shows how far a step is: one changing line on a terminal, else a line every ten seconds."""

    def __init__(self, label: str) -> None:
        self.label = label
        self._terminal = sys.stdout.isatty()
        self._started = self._last = time.monotonic()

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        if now - self._last < (0.2 if self._terminal else _PLAIN_INTERVAL):
            return
        self._last = now
        line = f"{self.label}: {text} ({now - self._started:.0f} s)"
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{line[:width]}\x1b[K", end="", flush=True)
        else:
            print(line, flush=True)

    def done(self, text: str) -> None:
        """Write a line that stays."""
        start = "\r\x1b[K" if self._terminal else ""
        print(f"{start}{self.label}: {text}", flush=True)


def die_with_parent() -> None:
    """Have the kernel end this process with SIGTERM when its parent ends (for preexec_fn)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def run_long(
    argv: Sequence[str],
    progress: Progress,
    what: str,
    *,
    steps: int = 0,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> None:
    """Run a command to its end; raise SetupError, in one line, if it fails.

    `steps` is about the number of steps that Kbuild will announce; if given, they are counted.
    The output of the command is added to the file `log`. If the command fails, this prints the
    lines that show why, and the error names the file.
    """
    said: list[str] = []
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(environment or {})},
        preexec_fn=die_with_parent,
    )
    kept_in = log or Path(os.devnull)
    with process, kept_in.open("a") as kept, ExitStack() as unless_read:
        unless_read.callback(process.terminate)
        for text in _count_steps(_lines(process), said, kept, steps):
            progress(f"{what} {text}".rstrip())
        unless_read.pop_all()
    if process.returncode:
        raise _failure(what, said, progress, log)


def _count_steps(lines: Iterator[str], said: list[str], kept: TextIO, steps: int) -> Iterator[str]:
    """Keep the lines; after each, yield how far the command is."""
    done, step = 0, ""
    for line in lines:
        if line:
            said.append(line)
            kept.write(f"{line}\n")
        if steps and _STEP.match(line):
            done, step = done + 1, f": {' '.join(line.split())}"
        yield f"{done} of {max(steps, done)}{step}" if steps else ""


def _failure(what: str, said: list[str], progress: Progress, log: Path | None) -> SetupError:
    """Return the error; for a logged command, first show the lines that explain the failure."""
    shown = failure_lines(said)
    if log is None:
        return SetupError(
            f"{progress.label}: {what} failed: {shown[0] if shown else 'it printed nothing'}"
        )
    progress.done("\n".join((f"{what} failed:", *shown)))
    return SetupError(f"{progress.label}: {what} failed; the whole log is {log}")


def failure_lines(said: Sequence[str]) -> list[str]:
    """Return the few lines of all that a command `said` that show why it failed.

    If make names a target that failed, these are the output of its recipe from the first error
    on, and the line of make itself. If not, they are the last lines.
    """
    named = [i for i, line in enumerate(said) if _MAKE_FAILED.match(line)]
    if not named:
        return list(said[-_SHOWN:])
    end = named[0]
    start = max((i for i in range(end) if _STEP.match(said[i])), default=0)
    errors = (i for i in range(start, end) if _ERROR.search(said[i]))
    first = next(errors, max(start, end - _SHOWN))
    return [*said[first : min(end, first + _SHOWN)], said[end]]


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Yield the lines of a process, and an empty one for each second without a line."""
    assert process.stdout is not None
    descriptor, rest = process.stdout.fileno(), b""
    while True:
        if not select.select([descriptor], [], [], _TICK)[0]:
            yield ""
            continue
        block = os.read(descriptor, 1 << 16)
        if not block:
            break
        *whole, rest = (rest + block).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")
