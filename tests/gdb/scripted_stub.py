# SPDX-License-Identifier: GPL-2.0-or-later
"""A stub that answers GDB as a test wants: QEMU's gdbstub with KVM, without having KVM."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from elftools.elf.elffile import ELFFile

_PACKET = re.compile(rb"\$([^$#]*)#[0-9a-f]{2}")
_PIECE = 1000  # bytes of an answer of the monitor in a packet
_WAIT = 10.0  # seconds for GDB to go when a test ends
_GENERAL = (
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip"),
)
_SHORT = ("eflags", "cs", "ss", "ds", "es", "fs", "gs")
_FLOAT = ("fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop")
_SYSTEM = ("fs_base", "gs_base", "cr0", "efer")
SIZES = {
    **dict.fromkeys(_GENERAL, 8),
    **dict.fromkeys(_SHORT, 4),
    **{f"st{i}": 10 for i in range(8)},
    **dict.fromkeys(_FLOAT, 4),
    **dict.fromkeys(_SYSTEM, 8),
}
"""The registers in the order of QEMU's target description, and their bytes."""

_TYPES = {10: "i387_ext", 8: "int64", 4: "int32"}
KERNEL_MODE = {"cs": 0x10, "efer": 0xD01, "cr0": 0x80050033}
"""What a CPU of a booted kernel shows."""


@dataclass
class ScriptedStub:
    """Serves the memory in `file` on the Unix socket `path`, one GDB after another.

    `registers` are those that are not 0, `monitor` the answers of QEMU's monitor. Nothing is in
    memory unless `mapped`.
    """

    file: Path
    path: Path
    registers: dict[str, int] = field(default_factory=lambda: dict(KERNEL_MODE))
    monitor: dict[str, str] = field(default_factory=dict)
    mapped: bool = True

    def __enter__(self) -> ScriptedStub:
        with self.file.open("rb") as stream:
            self._memory = [
                (part["p_vaddr"], part.data().ljust(part["p_memsz"], b"\0"))
                for part in ELFFile(stream).iter_segments("PT_LOAD")
            ]
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._run, name="stub", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(_WAIT)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            try:
                gdb, _ = self._listener.accept()
            except OSError:  # __exit__
                return
            with gdb, contextlib.suppress(ConnectionError):  # GDB does not wait for the last answer
                self._serve(gdb)

    def _serve(self, gdb: socket.socket) -> None:
        waiting = b""
        while data := _received(gdb):
            waiting += data
            while found := _PACKET.search(waiting):
                waiting = waiting[found.end() :]
                gdb.sendall(b"+")
                for reply in self._replies(found[1].decode("latin-1")):
                    self._send(gdb, reply)

    def _send(self, gdb: socket.socket, reply: str) -> None:
        gdb.sendall(f"${reply}#{sum(reply.encode()) & 0xFF:02x}".encode())

    def _replies(self, packet: str) -> Iterator[str]:
        name, _, rest = packet.partition(":")
        if packet.startswith("qRcmd,"):
            yield from self._monitored(bytes.fromhex(packet[6:]).decode())
        elif packet.startswith("qXfer:features:read:target.xml:"):
            start, length = (int(n, 16) for n in rest.rpartition(":")[2].split(","))
            text = _description()[start:]
            yield ("m" if len(text) > length else "l") + text[:length]
        elif packet.startswith("m"):
            yield self._read(*(int(number, 16) for number in packet[1:].split(",")))
        elif packet == "g":
            yield "".join(
                self.registers.get(name, 0).to_bytes(size, "little").hex()
                for name, size in SIZES.items()
            )
        else:
            fixed = {
                "qSupported": "PacketSize=1000;qXfer:features:read+",
                "?": "T05thread:01;",
                "qC": "QC1",
                "qfThreadInfo": "m1",
                "qsThreadInfo": "l",
                "qAttached": "1",
                "D": "OK",
            }
            yield fixed.get(name, "OK" if name[:1] == "H" else "")

    def _monitored(self, command: str) -> Iterator[str]:
        answer = self.monitor.get(command, "").encode()
        for start in range(0, len(answer), _PIECE):
            yield "O" + answer[start : start + _PIECE].hex()
        yield "OK" if self.monitor else ""

    def _read(self, address: int, length: int) -> str:
        for start, data in self._memory if self.mapped else ():
            if start <= address < start + len(data):
                return data[address - start : address - start + length].hex()
        return "E14"


def _received(gdb: socket.socket) -> bytes:
    try:
        return gdb.recv(4096)
    except ConnectionError:
        return b""


def _description() -> str:
    rows = "".join(
        f'<reg name="{name}" bitsize="{8 * size}" type="{_TYPES[size]}"/>'
        for name, size in SIZES.items()
    )
    return (
        '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target version="1.0">'
        "<architecture>i386:x86-64</architecture>"
        f'<feature name="org.gnu.gdb.i386.core">{rows}</feature></target>'
    )
