# SPDX-License-Identifier: GPL-2.0-or-later
"""A wire between GDB and a stub that can fail: cut, slow, silent, or with noise on it."""

from __future__ import annotations

import random
import socket
import time
from pathlib import Path
from typing import Callable

from tests.vm.wire import Wire

__all__ = ("BadWire",)

Bad = Callable[[bytes], bytes]
"""What becomes of some bytes on the wire. A ConnectionError cuts it."""


class BadWire(Wire):
    """A wire that does to what passes what `bad` says, from when it is set."""

    def __init__(self, stub: Path, folder: Path) -> None:
        super().__init__(stub, folder)
        self.bad: Bad | None = None
        self._cut = False

    def _pass_on(self, to: socket.socket, data: bytes, *, from_gdb: bool) -> None:
        if self.bad is not None:
            data = self.bad(data)
        to.sendall(data)
        if self._cut:
            raise ConnectionResetError

    @property
    def writes_a_register(self) -> bool:
        """Whether the last packet that GDB has sent, or begun to send, writes a register."""
        begun = self._pending[True].rpartition(b"$")[2] or self.sent[-1].encode()
        return begun.startswith(b"P")

    def cut(self, chance: random.Random) -> None:
        """Cut the wire in the middle of the next packet."""

        def bad(data: bytes) -> bytes:
            at = data.find(b"$")
            if at < 0:
                return data
            self._cut = True
            return data[: chance.randint(at + 1, max(at + 1, len(data) - 1))]

        self.bad = bad

    def slow(self, chance: random.Random, longest: float, often: float) -> None:
        """Delay some of what passes for up to so many seconds: a share `often` of it."""

        def bad(data: bytes) -> bytes:
            if chance.random() < often:
                time.sleep(chance.uniform(0.0, longest))
            return data

        self.bad = bad

    def noisy(self, chance: random.Random, often: float) -> None:
        """Change or drop one byte of some of what passes: of a share `often` of it."""

        def bad(data: bytes) -> bytes:
            if chance.random() >= often:
                return data
            at = chance.randrange(len(data))
            new = b"" if chance.random() < 0.5 else bytes((data[at] ^ 1 << chance.randrange(7),))
            return data[:at] + new + data[at + 1 :]

        self.bad = bad

    def good(self) -> None:
        """Let everything pass again."""
        self.bad = None
