# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a program under a keeper, which ends it and removes its directory with this process."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from qemu import keeper
from qemu.errors import HarnessError, MachineLost

__all__ = ("Kept",)

_END = 10.0  # seconds for the program to end and its files to go
_POLL = 0.02  # seconds between two attempts


class Kept:
    """The program `argv`, running in the private directory `directory`."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._name = argv[0]
        self._said = ""  # the program's last words, once it has ended
        self._process = subprocess.Popen(
            [sys.executable, keeper.__file__, *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        first = self._process.stdout.readline().decode().rstrip("\n")
        self.directory = Path(first)
        if not first:
            self.close()
            raise HarnessError(f"{self._name}: cannot make a private directory")

    def connect(self, name: str, deadline: float) -> socket.socket:
        """Connect to the program's Unix socket `name` before `deadline` (time.monotonic()).

        Raises MachineLost.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        while True:
            try:
                connection.connect(str(self.directory / name))
                return connection
            except (FileNotFoundError, ConnectionRefusedError) as error:
                ended = self.ended(0)
                if ended or time.monotonic() > deadline:
                    connection.close()
                    raise MachineLost(ended or f"{self._name} did not open {name}") from error
                time.sleep(_POLL)

    def ended(self, timeout: float) -> str:
        """Return how the program ended, or an empty string if it has not within `timeout` s."""
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return ""
        stdout = self._process.stdout
        if stdout is not None and not stdout.closed:
            self._said += stdout.read().decode(errors="replace")
        said = self._said.strip()
        return f"{self._name} ended with status {status}{': ' * bool(said)}{said}"

    def close(self) -> None:
        """End the program and wait for it and its directory to be gone."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        if self.directory.name:
            shutil.rmtree(self.directory, ignore_errors=True)
