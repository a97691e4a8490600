# SPDX-License-Identifier: GPL-2.0-or-later
"""A GDB that speaks the Debug Adapter Protocol, and a client that an editor could be."""

from __future__ import annotations

import contextlib
import itertools
import json
import queue
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gdb_harness import DEADLINE, ROOT, environment

from qemu.gdbs import SUITES, gdb_program, obtain, versions_of

_LEAST = 18  # GDB 16 keeps what is printed during a `continue` to itself


def dap_gdb() -> str:
    """Return the GDB to run: that of the tests, or the newest of Debian if it is too old."""
    program = gdb_program()
    version = re.match(r"\d+", versions_of(program).gdb)
    return program if version and int(version[0]) >= _LEAST else str(obtain(SUITES[-1]))


class Client:
    """Sends requests to a GDB, and keeps the events that come in between."""

    def __init__(self, program: str) -> None:
        options = ["-nx", "-q", "-iex", f"directory {ROOT / 'scripts'}"]
        options += ["-iex", "set debuginfod enabled off"]
        self._gdb = subprocess.Popen(
            [program, "-i", "dap", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=environment(),
        )  # fmt: skip
        self._numbers = itertools.count(1)
        self._came: queue.Queue[dict[str, Any]] = queue.Queue()
        self.events: list[dict[str, Any]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        """Take what GDB says apart; anything that is not of the protocol ends it."""
        stream = self._gdb.stdout
        while head := stream.readline():
            length = re.fullmatch(rb"Content-Length: (\d+)\r\n", head)
            if length is None or stream.readline() != b"\r\n":
                self._came.put({"type": "broken", "line": head})
                return
            self._came.put(json.loads(stream.read(int(length[1]))))

    def _next(self, end: float) -> dict[str, Any]:
        try:
            message = self._came.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            raise AssertionError(f"GDB is silent; its events were {self.events}") from None
        assert message["type"] in ("event", "response"), message
        if message["type"] == "event":
            self.events.append(message)
        return message

    def send(self, command: str, **arguments: Any) -> int:
        """Send a request, and return its number."""
        number = next(self._numbers)
        request = {"seq": number, "type": "request", "command": command, "arguments": arguments}
        data = json.dumps(request).encode()
        self._gdb.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        self._gdb.stdin.flush()
        return number

    def answer(self, number: int) -> dict[str, Any]:
        """Wait for the response to the request of this number."""
        end = time.monotonic() + DEADLINE
        while True:
            message = self._next(end)
            if message["type"] == "response" and message["request_seq"] == number:
                return message

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Return the body of the response to a request, which must succeed."""
        answer = self.answer(self.send(command, **arguments))
        assert answer["success"], answer
        return answer.get("body", {})

    def console(self, command: str) -> str:
        """Return what GDB prints for a command that is typed into the debug console."""
        return self.ask("evaluate", expression=command, context="repl")["result"]

    def wait(self, event: str) -> dict[str, Any]:
        """Return the body of the next event of this name, and forget those before it."""
        end = time.monotonic() + DEADLINE
        while True:
            for place, each in enumerate(self.events):
                if each["event"] == event:
                    del self.events[: place + 1]
                    return each.get("body", {})
            self._next(end)

    def output(self, end: str) -> str:
        """Return what was printed since the last call, up to the text `end`."""
        deadline = time.monotonic() + DEADLINE
        while True:
            outputs = [e["body"]["output"] for e in self.events if e["event"] == "output"]
            if end in "".join(outputs):
                self.events = [e for e in self.events if e["event"] != "output"]
                return "".join(outputs)
            self._next(deadline)

    def close(self) -> None:
        """End GDB, whatever it is doing."""
        self._gdb.kill()
        self._gdb.communicate()


@contextlib.contextmanager
def connected() -> Iterator[Client]:
    """Yield a client of a new GDB, which is ended afterwards."""
    client = Client(dap_gdb())
    try:
        yield client
    finally:
        client.close()


@contextlib.contextmanager
def served(program: Path, *arguments: str) -> Iterator[str]:
    """Run `program` under gdbserver; yield the address to attach to."""
    argv = ["gdbserver", "--once", "localhost:0", str(program), *arguments]
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            for line in server.stderr:
                if found := re.match(r"Listening on port (\d+)", line):
                    yield f"localhost:{found[1]}"
                    return
            raise AssertionError("gdbserver ended before it listened")
        finally:
            server.kill()
