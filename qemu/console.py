# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's console: wait for its output, and notice that the kernel is in trouble."""

from __future__ import annotations

import io
import itertools
import os
import shlex
import socket
from typing import Any

import pexpect
from pexpect.fdpexpect import fdspawn

from qemu.errors import MachineLost

__all__ = ("PROMPT", "Console")

PROMPT = "gdbfpu# "
"""The prompt of the guest's shell."""

# The kernel's own words (kernel/panic.c, lib/bug.c, arch/x86/kernel/dumpstack.c: `[#1]` counts
# oopses; kernel/debug/debug_core.c).
_TROUBLE = (
    r"[^\r\n]*(?:Kernel panic - not syncing|\bBUG: |WARNING: CPU: |\[#\d+\] |\bOops: "
    r"|KGDB: BP (?:remove|install) failed)[^\r\n]*[\r\n]"
)
_GLANCE = 0.05  # seconds to read what the console has to say now
_AFTERMATH = 0.5  # seconds to go on reading after the kernel is in trouble
_TAIL = 12  # lines of the console that an error shows


class Console:
    """The console on a connected stream socket; it takes the socket over."""

    def __init__(self, connection: socket.socket) -> None:
        self._log = io.StringIO()
        self._spawn = fdspawn(
            connection.detach(),
            timeout=None,
            maxread=1 << 16,
            encoding="utf-8",
            codec_errors="replace",
            use_poll=True,
        )
        self._spawn.logfile_read = self._log
        self._marks = itertools.count(1)

    @property
    def log(self) -> str:
        """Return everything that was read from the console so far."""
        return self._log.getvalue()

    def wait(self, pattern: str, timeout: float) -> str:
        """Wait up to `timeout` seconds for a regular expression; return what came before it.

        Raises MachineLost at the deadline, and as soon as the kernel is in trouble or QEMU ends.
        """
        found = self._expect([pattern], timeout)
        if found is pexpect.TIMEOUT:
            raise MachineLost(f"no {pattern!r} on the console within {timeout:g} s", self._tail())
        return self._spawn.before or ""

    def wait_for_life(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for any output, and leave the output for the next wait.

        Raises as `wait` does.
        """
        if self._expect([r"(?=\S)"], timeout) is pexpect.TIMEOUT:
            raise MachineLost(f"nothing on the console within {timeout:g} s")

    def run(self, command: str, timeout: float) -> str:
        """Run a command in the guest's shell and return what it wrote; raises as `wait` does."""
        mark = f"{next(self._marks)}"
        # The quotes keep the echo of this line from matching; `eval` lets the command end in `&`.
        line = f'echo "run"{mark}"{{"; eval {shlex.quote(command)}; echo "}}"{mark}"run"'
        self.send(line + "\n")
        self.wait(rf"run{mark}\{{\r?\n", timeout)
        output = self.wait(rf"\}}{mark}run\r?\n", timeout)
        self.wait(PROMPT, timeout)
        return output.replace("\r\n", "\n")

    def send(self, text: str) -> None:
        """Type `text` on the console."""
        data = text.encode()
        while data:
            try:
                data = data[os.write(self._spawn.child_fd, data) :]
            except BrokenPipeError:
                return  # QEMU has ended; the next wait says so, and how

    def check(self) -> None:
        """Read what the console holds; raise MachineLost if the kernel is in trouble."""
        self._expect([], _GLANCE)

    def close(self) -> None:
        """Close the console; what was read from it stays."""
        self._spawn.close()

    def _expect(self, patterns: list[str], timeout: float) -> object:
        wanted: list[Any] = [*patterns, _TROUBLE, pexpect.EOF, pexpect.TIMEOUT]
        found = self._match(wanted, timeout)
        if found is _TROUBLE:
            how = f"{self._spawn.after}".strip().removeprefix(PROMPT)
            ended = self._match([pexpect.EOF, pexpect.TIMEOUT], _AFTERMATH) is pexpect.EOF
            raise MachineLost(f"the kernel says: {how}", self._tail(), ended=ended)
        if found is pexpect.EOF:
            raise MachineLost("QEMU closed the console", self._tail(), ended=True)
        return found

    def _match(self, wanted: list[Any], timeout: float) -> object:
        try:
            return wanted[self._spawn.expect(wanted, timeout=timeout)]
        except ConnectionResetError:
            return pexpect.EOF  # QEMU was killed before it read what we typed

    def _tail(self) -> str:
        lines = self.log.replace("\r", "").rstrip().split("\n")
        return "\n".join(lines[-_TAIL:])
