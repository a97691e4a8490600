# SPDX-License-Identifier: GPL-2.0-or-later
"""A GDB that is told one command after another, as by somebody at its prompt."""

from __future__ import annotations

import io
import itertools
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pexpect
from pexpect.fdpexpect import fdspawn

from qemu.gdbs import STRICT

__all__ = ("Debugger", "EndedError")

_END = 20.0  # seconds for GDB to quit


class EndedError(AssertionError):
    """GDB has ended, with `status`."""

    def __init__(self, status: int) -> None:
        super().__init__(f"GDB has ended with status {status}")
        self.status = status


class Debugger:
    """GDB started by `argv` in `folder`, which reads its commands from a pipe.

    A context manager, at the end of which it is killed if it still runs.
    """

    def __init__(self, argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        read, write = os.pipe()
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=write,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **STRICT, **environment},
        )
        os.close(write)
        self._log = io.StringIO()
        self._spawn = fdspawn(
            read, encoding="utf-8", codec_errors="replace", use_poll=True, timeout=None
        )
        self._spawn.logfile_read = self._log
        self._marks = itertools.count(1)
        self._mark = ""

    def __enter__(self) -> Debugger:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._spawn.close()

    @property
    def output(self) -> str:
        """Everything that GDB has printed and that was waited for."""
        return self._log.getvalue()

    @property
    def printed(self) -> str:
        """What GDB printed before what was last waited for."""
        return str(self._spawn.before)

    def now(self) -> str:
        """Return everything that GDB has printed so far."""
        self._spawn.expect([pexpect.TIMEOUT, pexpect.EOF], 0.05)
        return self.output

    def send(self, *commands: str) -> None:
        """Send commands; GDB reads them one after another, whenever it has done the last."""
        self._mark = f"@{next(self._marks)}@"
        lines = "".join(f"{command}\n" for command in (*commands, f"echo {self._mark}\\n"))
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(lines.encode())
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise EndedError(self.process.wait(_END)) from error

    def done(self, timeout: float = 60.0) -> str:
        """Wait until GDB has done what was sent last; return what it printed meanwhile."""
        assert self.comes_back(timeout), f"GDB does not come back within {timeout:g} s"
        return self.printed

    def ask(self, *commands: str, timeout: float = 60.0) -> str:
        """Run commands; return what they print."""
        self.send(*commands)
        return self.done(timeout)

    def comes_back(self, timeout: float) -> bool:
        """Return whether GDB does, in time, what was sent last."""
        found = self._spawn.expect_exact([self._mark, pexpect.EOF, pexpect.TIMEOUT], timeout)
        if found == 1:
            raise EndedError(self.process.wait(_END))
        return found == 0

    def wait_for(self, line: str, timeout: float = 60.0) -> str:
        """Wait until GDB has printed what the regular expression `line` matches; return it."""
        deadline = time.monotonic() + timeout
        while not (found := re.search(line, self.now(), re.MULTILINE)):
            if self.process.poll() is not None:
                raise EndedError(self.process.returncode)
            assert time.monotonic() < deadline, f"GDB did not say {line!r}"
        return found[0]

    def interrupt(self) -> None:
        """Press ^C."""
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Kill GDB, and read what it had printed."""
        self.process.kill()
        self.process.wait()
        self._spawn.expect(pexpect.EOF, _END)

    def quit(self) -> int:
        """Have GDB quit; return its exit status."""
        self.send("quit")
        self._spawn.expect(pexpect.EOF, _END)
        return self.process.wait(_END)
