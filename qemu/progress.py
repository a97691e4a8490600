# SPDX-License-Identifier: GPL-2.0-or-later
"""Progress of long steps, and commands that report it."""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from qemu.errors import SetupError

__all__ = ("Progress", "die_with_parent", "run_long")

_PR_SET_PDEATHSIG = 1
_TICK = 1.0  # seconds between two looks at a silent command
_PLAIN_INTERVAL = 10.0  # seconds between two lines where lines cannot be rewritten


class Progress:
    """Tell how far a step is: one rewritten line on a terminal, else a line every ten seconds."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._terminal = sys.stdout.isatty()
        self._started = self._last = time.monotonic()
        self.done("started")

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        if now - self._last < (0.2 if self._terminal else _PLAIN_INTERVAL):
            return
        self._last = now
        line = f"{self._label}: {text} ({now - self._started:.0f} s)"
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{line[:width]}\x1b[K", end="", flush=True)
        else:
            print(line, flush=True)

    def done(self, text: str) -> None:
        """Write a line that stays."""
        start = "\r\x1b[K" if self._terminal else ""
        print(f"{start}{self._label}: {text}", flush=True)


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
) -> None:
    """Run a command, counting the lines it writes as its `steps` (0: how many is unknown).

    Raises SetupError with the command's last lines when it fails.
    """
    last: deque[str] = deque(maxlen=15)
    count, total = 0, f"/{steps}" if steps else ""
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(environment or {})},
        preexec_fn=die_with_parent,
    )
    with process:
        try:
            for line in _lines(process):
                if line:
                    count += 1
                    last.append(line)
                progress(f"{what} {count}{total} {line.strip()}".rstrip() if steps else what)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise SetupError(f"{what} failed ({' '.join(argv[:2])}):\n" + "\n".join(last))


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Yield the lines of a process, and an empty one each second in which there is none."""
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
