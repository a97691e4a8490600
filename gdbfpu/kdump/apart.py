# SPDX-License-Identifier: GPL-2.0-or-later
"""Apart: the memory of a dump, read in a process of its own.

libkdumpfile, through which drgn reads compressed dumps, maps the file and believes what it says.
So a dump that was cut off or is damaged can kill the process that reads it (SIGBUS). That process
is not ours.
"""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import NoReturn
from weakref import finalize

from gdbfpu.errors import CorruptState, GdbFpuError, MemoryFault, UsageError, described
from gdbfpu.kernel.stubs import CORE
from gdbfpu.target import Memory

__all__ = ("Apart",)

_READ, _ADDRESS, _SIZE, _SLIDE = b"r", b"a", b"s", b"m"
_VALUE, _NOTHING, _FAULT, _ERROR, _BUG = b"v", b"n", b"f", b"e", b"b"
_PLACE = struct.Struct("<QQ")  # an address and a length
_NUMBER = struct.Struct("<q")
_U64 = (1 << 64) - 1
_TEXT = ("utf-8", "surrogatepass")  # file names may be anything
_ERRORS = {kind.__name__: kind for kind in (CorruptState, UsageError)}


class Apart:
    """The Memory that `make` returns for the dump `core`, in a process that only reads it.

    Raises what `make` raises. If the process dies, this and all reads raise CorruptState.
    """

    stub = CORE
    machine = None

    def __init__(self, core: Path, make: Callable[[], Memory]) -> None:
        self._core, self._died = core, ""
        self._pipe, theirs = Pipe()
        self._child = os.fork()
        if not self._child:
            self._pipe.close()
            _serve(theirs, make)
        theirs.close()
        self._end = finalize(self, _end, self._pipe, self._child)
        self.slide = self._number(_SLIDE, b"")

    def read_memory(self, address: int, length: int) -> bytes:
        """Return exactly `length` bytes at `address`; raise MemoryFault otherwise."""
        kind, data = self._ask(_READ + _PLACE.pack(address & _U64, length))
        if kind == _FAULT:
            raise MemoryFault(address & _U64, length, data.decode(*_TEXT))
        return data

    def symbol_address(self, name: str) -> int | None:
        """Return the address of symbol `name`, or None if the kernel has none."""
        kind, data = self._ask(_ADDRESS + name.encode())
        return None if kind == _NOTHING else _NUMBER.unpack(data)[0] & _U64

    def symbol_size(self, name: str) -> int:
        """Return the size in bytes of the object `name`, or 0 if it is not known."""
        return self._number(_SIZE, name.encode())

    def _number(self, kind: bytes, words: bytes) -> int:
        return int(_NUMBER.unpack(self._ask(kind + words)[1])[0])

    def _ask(self, question: bytes) -> tuple[bytes, bytes]:
        """Return the kind of the answer, and the answer; raise the error that it is."""
        try:
            self._pipe.send_bytes(question)
            answer = self._pipe.recv_bytes()
        except (EOFError, OSError) as error:
            raise CorruptState(self._why()) from error
        kind, data = answer[:1], answer[1:]
        if kind == _ERROR:
            name, _, text = data.decode(*_TEXT).partition(" ")
            raise _ERRORS.get(name, GdbFpuError)(text)
        if kind == _BUG:
            raise RuntimeError(data.decode(*_TEXT))
        return kind, data

    def _why(self) -> str:
        """Return the error message after the process has died."""
        if not self._died:
            status = os.waitstatus_to_exitcode(self._end() or 0)
            self._died = signal.Signals(-status).name if status < 0 else f"status {status}"
        return f"{self._core} is damaged, or was cut off: reading it ended with {self._died}"


def _end(pipe: Connection, child: int) -> int:
    """End the process, if it has not ended yet; return its status."""
    pipe.close()
    ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        os.kill(child, signal.SIGKILL)  # it has nothing to lose
        status = os.waitpid(child, 0)[1]
    return status


def _serve(pipe: Connection, make: Callable[[], Memory]) -> NoReturn:
    """Answer questions until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C is for the process that asks
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    made: list[Memory] = []
    try:
        while True:
            question = pipe.recv_bytes()
            pipe.send_bytes(_answer(made, make, question))
    finally:
        os._exit(0)


def _answer(made: list[Memory], make: Callable[[], Memory], question: bytes) -> bytes:
    """Return the answer to `question`. The first one has the memory made, and put into `made`."""
    try:
        if not made:
            made.append(make())
        return _found(made[0], question[:1], question[1:])
    except GdbFpuError as error:
        return _ERROR + f"{type(error).__name__} {error}".encode(*_TEXT)
    except Exception as error:  # noqa: BLE001 - a fault of ours is raised where it was asked
        return _BUG + described(error).encode(*_TEXT)


def _found(memory: Memory, kind: bytes, words: bytes) -> bytes:
    if kind == _READ:
        try:
            return _VALUE + memory.read_memory(*_PLACE.unpack(words))
        except MemoryFault as fault:
            return _FAULT + fault.why.encode(*_TEXT)
    if kind == _SLIDE:
        return _VALUE + _NUMBER.pack(memory.slide)
    if kind == _SIZE:
        return _VALUE + _NUMBER.pack(memory.symbol_size(words.decode()))
    address = memory.symbol_address(words.decode())
    return _NOTHING if address is None else _VALUE + address.to_bytes(8, "little")
