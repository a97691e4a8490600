# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's console, with a socket in QEMU's place."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from qemu.console import Console
from qemu.errors import MachineLost

PRINTED = 2000  # bytes; 280 fill the socket if nobody reads


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Console]]:
    """Yield QEMU's end and the console."""
    ours, theirs = socket.socketpair()
    console = Console(ours)
    theirs.settimeout(10.0)
    with theirs:
        yield theirs, console
    console.close()


def test_the_guest_prints_while_nobody_waits(ends: tuple[socket.socket, Console]) -> None:
    qemu, console = ends
    for _ in range(PRINTED):
        qemu.send(b".")
    qemu.send(b"end")
    assert console.wait("end", 10.0) == "." * PRINTED
    assert console.log == "." * PRINTED + "end"


def test_what_is_typed_arrives(ends: tuple[socket.socket, Console]) -> None:
    qemu, console = ends
    console.send("echo a\n")
    assert qemu.recv(100) == b"echo a\n"


def test_qemu_ends(ends: tuple[socket.socket, Console]) -> None:
    qemu, console = ends
    qemu.send(b"the last words")
    qemu.close()
    console.send("nobody reads this")
    with pytest.raises(MachineLost, match="QEMU closed the console") as lost:
        console.wait("more", 10.0)
    assert lost.value.ended
    assert console.log == "the last words"


def test_qemu_is_killed_with_typed_text_unread(ends: tuple[socket.socket, Console]) -> None:
    qemu, console = ends
    console.send("nobody reads this")
    qemu.close()
    with pytest.raises(MachineLost, match="QEMU closed the console"):
        console.wait("more", 10.0)


def test_close_ends_the_wait_for_the_guest(ends: tuple[socket.socket, Console]) -> None:
    qemu, console = ends
    qemu.send(b"x" * 10)
    console.close()
    assert qemu.recv(10) == b""
