# SPDX-License-Identifier: GPL-2.0-or-later
"""The device to the machine: pseudo-terminals on which KGDB, kdb, a console or nobody answers."""

from __future__ import annotations

import os
import socket
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gdbfpu.doctor import device as device_module
from gdbfpu.doctor.asking import ask, tty_rate
from gdbfpu.doctor.device import adapters, rate_answer, rights_answer
from gdbfpu.doctor.finding import Verdict
from gdbfpu.errors import GdbFpuError

WAIT = 10.0


@contextmanager
def answering(reply: Callable[[bytes], bytes], cooked: bool = False) -> Iterator[Path]:
    """Yield a tty; what is written there is answered by `reply`. It echoes only if `cooked`."""
    ours, theirs = os.openpty()
    if not cooked:
        tty.setraw(theirs)

    def serve() -> None:
        while data := read(ours):
            os.write(ours, reply(data))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield Path(os.ttyname(theirs))
    finally:
        os.close(theirs)
        thread.join(WAIT)
        os.close(ours)
        assert not thread.is_alive()


def read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1000)
    except OSError:  # the other end is closed
        return b""


def kgdb(data: bytes) -> bytes:
    return b"+$S05#b8" if b"$?#3f" in data else b""


def kdb(data: bytes) -> bytes:
    return data.replace(b"\r", b"\r\n[1]kdb> ")


def console(data: bytes) -> bytes:
    """A login, which echoes all that is typed."""
    return data.replace(b"\r", b"\r\n\r\nDebian GNU/Linux 12 box ttyS0\r\n\r\nbox login: ")


def noise(data: bytes) -> bytes:
    return bytes(byte | 0x80 for byte in data) * 4


def silence(data: bytes) -> bytes:
    return b""


@pytest.mark.parametrize(
    ("reply", "verdict", "seen", "mend"),
    [
        (kgdb, Verdict.FINE, "KGDB answers", None),
        (kdb, Verdict.LIMITED, "kdb answers", "kgdb"),
        (console, Verdict.TROUBLE, "a console answers", "echo g > /proc/sysrq-trigger"),
        (noise, Verdict.TROUBLE, "the rate is wrong", "set serial baud 115200"),
        (silence, Verdict.UNKNOWN, "nobody answers", "echo g > /proc/sysrq-trigger"),
    ],
)
def test_who_answers(reply, verdict, seen, mend):
    with answering(reply) as device:
        answer = ask(device, 9600)
    assert (answer.verdict, seen in answer.seen) == (verdict, True), answer
    assert answer.mend[-1:] == ((mend,) if mend else ())


def test_a_tty_is_left_as_it_was():
    with answering(silence, cooked=True) as device:
        descriptor = os.open(device, os.O_RDWR | os.O_NOCTTY)
        before = termios.tcgetattr(descriptor)
        ask(device, 9600)
        after = termios.tcgetattr(descriptor)
        os.close(descriptor)
    assert before == after
    assert before[5] != termios.B9600


def test_a_unix_socket(tmp_path):
    """What QEMU makes of a serial port."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "kgdb.sock"))
    listener.listen(1)

    def serve() -> None:
        line, _ = listener.accept()
        with line:
            while data := line.recv(100):
                if reply := kgdb(data):
                    line.sendall(reply)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert "KGDB answers" in ask(tmp_path / "kgdb.sock", None).seen
    thread.join(WAIT)
    listener.close()
    with pytest.raises(GdbFpuError, match=r"kgdb\.sock: Connection refused"):
        ask(tmp_path / "kgdb.sock", None)


def test_rate_of_a_tty(tmp_path):
    with answering(silence) as device:
        descriptor = os.open(device, os.O_RDWR | os.O_NOCTTY)
        now = termios.tcgetattr(descriptor)
        now[4] = now[5] = termios.B57600
        termios.tcsetattr(descriptor, termios.TCSANOW, now)
        assert tty_rate(device) == 57600
        assert rate_answer(device, None).seen.startswith("57600 bit/s carry 5,760 bytes/s")
        assert rate_answer(device, 115200).seen.startswith("115200 bit/s")
        os.close(descriptor)
    assert tty_rate(tmp_path / "none") is None
    assert tty_rate(Path("/dev/null")) is None
    assert rate_answer(Path("/dev/null"), None).verdict is Verdict.UNKNOWN
    assert rate_answer(None, None).verdict is Verdict.NOT_APPLICABLE


def test_rights(tmp_path, monkeypatch):
    with answering(silence) as device:
        assert rights_answer(device).verdict is Verdict.FINE
        monkeypatch.setattr(device_module.os, "access", lambda *_: False)
        monkeypatch.setattr(device_module, "_group", lambda _: "dialout")
        refused = rights_answer(device)
    assert refused.verdict is Verdict.TROUBLE
    assert refused.mend[0] == "sudo usermod -aG dialout $USER"


def test_no_such_device(tmp_path):
    missing = rights_answer(tmp_path / "ttyUSB0")
    assert missing.verdict is Verdict.TROUBLE
    assert "No such file or directory" in missing.seen
    (tmp_path / "file").write_text("")
    assert "this is no tty and no Unix socket" in rights_answer(tmp_path / "file").seen


def test_adapters(tmp_path):
    for name in ("ttyUSB1", "ttyUSB0"):
        (tmp_path / name).mkdir()
    assert adapters(tmp_path) == ("ttyUSB0", "ttyUSB1")
    assert adapters(tmp_path / "none") == ()
