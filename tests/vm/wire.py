# SPDX-License-Identifier: GPL-2.0-or-later
"""The wire between GDB and a stub, through a proxy that counts what passes.

Packets are those of the GDB Remote Serial Protocol: `$data#checksum`. Bytes are all that pass,
acknowledgements and repetitions included.
"""

from __future__ import annotations

import re
import select
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

_PACKET = re.compile(rb"\$([^#]*)#[0-9a-fA-F]{2}")
_END = re.compile(rb"#[0-9a-fA-F]{2}$")
_WAIT = 10.0  # seconds to connect, and to end
_CHUNK = 1 << 16


@dataclass
class Turn:
    """What passed from one stop of the running kernel to the next.

    `sent` are GDB's packets, that which resumes the kernel last; `bytes` count both directions,
    `seconds` go from the stop to that packet.
    """

    sent: list[str] = field(default_factory=list)
    bytes: int = 0
    stopped: float = 0.0
    resumed: float = 0.0

    @property
    def seconds(self) -> float:
        return self.resumed - self.stopped

    @property
    def reads(self) -> list[str]:
        """The memory reads."""
        return [packet for packet in self.sent if packet.startswith("m")]


class Wire:
    """A proxy in front of the stub at the Unix socket `stub`; GDB connects to `path` in `folder`.

    A context manager; its thread ends with GDB's connection, the stub's, or the context.
    """

    def __init__(self, stub: Path, folder: Path) -> None:
        self.path = folder / f"wire-{time.monotonic_ns()}.sock"
        self.turns: list[Turn] = [Turn()]
        self._stub = stub
        self._resumed = False
        self._pending = {True: b"", False: b""}
        self._over = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._thread = threading.Thread(target=self._run, name="wire")

    def __enter__(self) -> Wire:
        self._listener.bind(str(self.path))
        self._listener.listen(1)
        self._listener.settimeout(0.2)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(_WAIT)
        self._listener.close()
        assert not self._thread.is_alive()

    @property
    def sent(self) -> list[str]:
        """All packets that GDB sent."""
        return [packet for turn in self.turns for packet in turn.sent]

    def between(self, start: str, end: str) -> list[str]:
        """What GDB sent between two marks, packets that `maint packet MARK` sends."""
        sent = self.sent
        return sent[sent.index(start) + 1 : sent.index(end)]

    def hits(self) -> list[Turn]:
        """The turns that began with a stop of the running kernel and ended with `continue`."""
        return [turn for turn in self.turns[1:] if turn.sent and _resumes(turn.sent[-1])]

    def _run(self) -> None:
        for gdb in self._accepted():
            with gdb, socket.socket(socket.AF_UNIX) as stub:
                stub.settimeout(_WAIT)
                stub.connect(str(self._stub))
                self._carry(gdb, stub)

    def _accepted(self) -> Iterator[socket.socket]:
        while not self._over.is_set():
            try:
                yield self._listener.accept()[0]
                return
            except TimeoutError:
                continue

    def _carry(self, gdb: socket.socket, stub: socket.socket) -> None:
        while not self._over.is_set():
            for end in select.select([gdb, stub], [], [], 0.2)[0]:
                try:
                    data = end.recv(_CHUNK)
                except ConnectionError:
                    data = b""
                if not data:
                    return
                self._count(end is gdb, data)
                self._delay(end is gdb, data)
                try:
                    self._pass_on(stub if end is gdb else gdb, data, from_gdb=end is gdb)
                except ConnectionError:
                    return

    def _delay(self, from_gdb: bool, data: bytes) -> None:
        """Wait as long as `data` takes to pass; a socket takes no time."""

    def _pass_on(self, to: socket.socket, data: bytes, *, from_gdb: bool) -> None:
        """Send `data` to the other end; a ConnectionError ends both connections."""
        to.sendall(data)

    def _count(self, from_gdb: bool, data: bytes) -> None:
        self._pending[from_gdb] += data
        used = 0
        for match in _PACKET.finditer(self._pending[from_gdb]):
            self.turns[-1].bytes += match.end() - used
            used = match.end()
            (self._sent if from_gdb else self._replied)(match[1].decode("latin-1"))
        rest = self._pending[from_gdb][used:]
        start = rest.find(b"$")
        loose = len(rest) if start < 0 else start
        self.turns[-1].bytes += loose
        self._pending[from_gdb] = rest[loose:]

    def _sent(self, packet: str) -> None:
        self.turns[-1].sent.append(packet)
        if _resumes(packet):
            self._resumed = True
            self.turns[-1].resumed = time.monotonic()

    def _replied(self, packet: str) -> None:
        if self._resumed and packet[:1] in ("T", "S"):
            self._resumed = False
            self.turns.append(Turn(bytes=len(packet) + 4, stopped=time.monotonic()))
            self.turns[-2].bytes -= len(packet) + 4


class SerialWire(Wire):
    """The same as slow as a serial line of `baud` bit/s, 10 bits a byte.

    The adapter keeps the end of each reply back for `latency` ms. `taken` has the seconds that the
    line took in each turn.
    """

    def __init__(self, stub: Path, folder: Path, baud: int, latency: int) -> None:
        super().__init__(stub, folder)
        self._baud, self._latency = baud, latency
        self._free = {True: 0.0, False: 0.0}  # when the line, in each direction, is free again
        self.taken: defaultdict[int, float] = defaultdict(float)

    def _delay(self, from_gdb: bool, data: bytes) -> None:
        ends = not from_gdb and _END.search(data) is not None
        now, passing = time.monotonic(), len(data) * 10 / self._baud
        kept = ends * self._latency / 1000
        self._free[from_gdb] = max(now, self._free[from_gdb]) + passing
        self.taken[id(self.turns[-1])] += passing + kept
        time.sleep(self._free[from_gdb] - now + kept)


def _resumes(packet: str) -> bool:
    """Tell `c` and `vCont;c`, which let the kernel run, from a step."""
    return packet == "c" or re.match(r"vCont;c(:|;|$)", packet) is not None
