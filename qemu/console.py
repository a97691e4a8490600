# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's console: wait for its output, and notice that the kernel is in trouble."""

from __future__ import annotations

import fcntl
import io
import itertools
import os
import shlex
import socket
import threading
from contextlib import suppress
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
_UNREAD = 1 << 20  # bytes that the guest can print before somebody waits for them
_END = 10.0  # seconds for the thread to end


class Console:
    """The console on a connected stream socket; it takes the socket over.

    A thread takes from the socket whatever the guest prints, at once. QEMU writes each byte by
    itself, and some 280 of them fill a Unix socket: then the guest waits, 10 ms or more for each.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(None)
        self._connection = connection
        self._log = io.StringIO()
        read, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _UNREAD)
        self._thread = threading.Thread(target=self._carry, args=(write,), daemon=True)
        self._thread.start()
        self._spawn = fdspawn(
            read,
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
        with suppress(ConnectionError):  # QEMU has ended; the next wait says so, and how
            self._connection.sendall(text.encode())

    def check(self) -> None:
        """Read what the console holds; raise MachineLost if the kernel is in trouble."""
        self._expect([], _GLANCE)

    def close(self) -> None:
        """Close the console; what was read from it stays."""
        with suppress(OSError):  # QEMU has ended
            self._connection.shutdown(socket.SHUT_RDWR)
        self._spawn.close()
        self._thread.join(_END)
        self._connection.close()

    def _carry(self, into: int) -> None:
        """Carry what the guest prints to a pipe, until either end is closed."""
        with open(into, "wb", buffering=0) as pipe, suppress(ConnectionError):
            while data := self._connection.recv(1 << 16):
                pipe.write(data)

    def _expect(self, patterns: list[str], timeout: float) -> object:
        wanted: list[Any] = [*patterns, _TROUBLE, pexpect.EOF, pexpect.TIMEOUT]
        found = wanted[self._spawn.expect(wanted, timeout=timeout)]
        if found is _TROUBLE:
            how = f"{self._spawn.after}".strip().removeprefix(PROMPT)
            ended = self._spawn.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=_AFTERMATH) == 0
            raise MachineLost(f"the kernel says: {how}", self._tail(), ended=ended)
        if found is pexpect.EOF:
            raise MachineLost("QEMU closed the console", self._tail(), ended=True)
        return found

    def _tail(self) -> str:
        lines = self.log.replace("\r", "").rstrip().split("\n")
        return "\n".join(lines[-_TAIL:])
