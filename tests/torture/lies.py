# SPDX-License-Identifier: GPL-2.0-or-later
"""What a stub can lie about: each lie yields what it sends instead of the true replies."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.torture.lying_stub import Lie, LyingStub

__all__ = ("CONSOLE", "EVIL", "LIES")

_LATE = 0.02  # seconds
_MANY = 2000  # threads
_LINES = 100  # that GDB acknowledges before this stub listens again: a few more would fill the pipe
_TOO_LONG = 40_000  # hexadecimal digits that nobody asked for
_TEXT = "".join(chr(code) for code in range(33, 127) if chr(code) not in "$#")
EVIL = "\x1b]0;owned\x07\x1b[31m\r\n\x9b31m\u202e\x7f".encode()
CONSOLE = b"\x1b[32mconsole\x07\r\n"
_ARCHITECTURES = ("i386", "aarch64", "riscv:rv64", "i8086", "nonsense", "", "\x1b[31m")

Sent = Iterator["str | bytes"]


def _digits(stub: LyingStub, most: int) -> str:
    return stub.chance.randbytes(stub.chance.randrange(most)).hex()


def framed(reply: bytes) -> bytes:
    """Return `reply` as a packet; it may hold any bytes but `$` and `#`."""
    return b"$%s#%02x" % (reply, sum(reply) & 0xFF)


def short(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    for reply in true:
        yield reply[: stub.chance.randrange(len(reply) + 1)]


def too_long(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    for reply in true:
        yield reply + _digits(stub, stub.chance.choice((2, 600, _TOO_LONG)))


def errors(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    if stub.chance.random() < 0.5:
        yield f"E{stub.chance.randrange(256):02x}"
    else:
        yield framed(b"E." + EVIL)


def some_errors(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    yield from errors(stub, packet, true) if stub.chance.random() < 0.2 else true


def garbage(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    if stub.chance.random() < 0.3:
        yield "".join(stub.chance.choices(_TEXT, k=stub.chance.randrange(1, 300)))
    else:
        yield from true


def bytes_of_any_kind(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    """Between packets, and within them."""
    yield stub.chance.randbytes(stub.chance.randrange(40)).replace(b"\x03", b"")
    for reply in true:
        data = bytearray(reply.encode())
        if data and stub.chance.random() < 0.3:
            data[stub.chance.randrange(len(data))] = stub.chance.choice(b"\0\x1b}*\xff0")
        yield framed(bytes(data))


def runs(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    """Run-length encoded: few bytes that become many."""
    yield "0*~" * stub.chance.choice((1, 40, 3000)) if stub.chance.random() < 0.3 else true[0]


def nothing(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    yield ""


def slow(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    for reply in true:
        data = framed(reply.encode())
        cut = stub.chance.randrange(len(data))
        yield data[:cut]
        time.sleep(_LATE)
        yield data[cut:]


def silent(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    """GDB waits for each of these replies until it gives up."""
    yield from () if stub.chance.random() < 0.02 else true


def mute(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    """Nothing is answered ever again."""
    yield from ()


def wrong_sums(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    for reply in true:
        if stub.chance.random() < 0.3:
            yield b"$%s#00" % reply.encode()
        yield reply


def twice(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    """From then on every answer may be that of the packet before."""
    yield from true
    if stub.chance.random() < 0.2:
        yield from true


def stops_unasked(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    if stub.chance.random() < 0.1:
        yield stub.chance.choice(("T05thread:01;", "S05", "W00", "X09", "T05thread:02;"))
    yield from true


def stops(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    """The kernel runs, and stops for what cannot be."""
    if packet[:1] != "c" or stub.chance.random() < 0.5:
        yield from true
        return
    value = stub.chance.randbytes(8).hex()
    yield stub.chance.choice((
        "W00", "X09", "S05", "S00", "Sff", "T05", "T05thread:7f;", "T05thread:-1;", "N", "w0;1",
        f"T05thread:01;10:{value};", f"T05thread:01;07:{value};10:00", f"T05watch:{value};",
        "T05thread:02;core:ffffffffffff;", "T05thread:01;library:;", "T05thread:01;fork:p1.2;",
        "T05thread:01;exec:1b5b33316d;", "T05thread:01;replaylog:end;", "O1b5b33316d", "",
        "T05thread:01;10:xx;", "T05thread:p1.1;", "T05thread:01;hwbreak:;swbreak:;", "F0",
    ))  # fmt: skip


def console(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    """Output that GDB prints, in the place of an answer, or before it."""
    if stub.chance.random() < 0.2 or packet.startswith("qRcmd"):
        for _ in range(stub.chance.choice((1, 3, _LINES))):
            yield "O" + stub.chance.choice((CONSOLE, b"A" * 400, b"EAX=\xff\n")).hex()
    yield from true


def closed(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    if stub.chance.random() < 0.9:
        yield from true
        return
    yield framed(true[0].encode())[: stub.chance.randrange(5)]
    raise ConnectionError


def registers(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    if packet != "g":
        yield from true
    elif stub.chance.random() < 0.2:
        yield stub.chance.choice(("", "x" * len(true[0]), "00" * 10, true[0] * 2, "E01"))
    else:
        yield stub.chance.randbytes(len(true[0]) // 2).hex()


def noise(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    """Memory of any value, another at each look."""
    if packet[:1] == "m" and stub.chance.random() < 0.3:
        yield stub.chance.randbytes(len(true[0]) // 2).hex()
    else:
        yield from true


def ones(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    yield "ff" * (len(true[0]) // 2) if packet[:1] == "m" else true[0]


def everything_is_there(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    """No read of memory ever fails."""
    if packet[:1] == "m" and true[0][:1] == "E":
        yield stub.chance.randbytes(int(packet.partition(",")[2], 16)).hex()
    else:
        yield from true


def threads(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    """Threads that come and go, too many of them, and ids that cannot be."""
    if packet in ("qfThreadInfo", "qsThreadInfo"):
        ids = [stub.chance.choice((1, 2, stub.chance.randrange(1, 1 << 31), -1)) for _ in range(4)]
        more = packet[1] == "s" and stub.chance.random() < 0.7
        yield "l" if more else "m" + ",".join(f"{number:x}" for number in ids)
    elif packet[:1] in ("T", "H") and stub.chance.random() < 0.3:
        yield "E01"
    elif packet == "qC":
        yield f"QC{stub.chance.randrange(1 << 31):x}"
    else:
        yield from true


def too_many_threads(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    if packet == "qfThreadInfo":
        stub.told = 0
    if packet in ("qfThreadInfo", "qsThreadInfo") and stub.told < _MANY:
        stub.told += 20
        yield "m" + ",".join(f"{stub.told + number:x}" for number in range(20))
    else:
        yield from true


def other_machine(stub: LyingStub, packet: str, true: list[str]) -> Sent:
    """Another architecture, or registers of other sizes."""
    if not packet.startswith("qXfer:features"):
        yield from true
        return
    text, choice = true[0], stub.chance.randrange(4)
    if choice == 0:
        name = stub.chance.choice(_ARCHITECTURES)
        yield text.replace("i386:x86-64", name)
    elif choice == 1:
        size = stub.chance.choice(("7", "0", "-8", "128", "1000000", "99999999999"))
        yield text.replace('bitsize="64"', f'bitsize="{size}"', stub.chance.randrange(1, 5))
    elif choice == 2:
        yield text.replace('name="r', 'name="', stub.chance.randrange(1, 12))
    else:
        yield "m" + text[1:]  # the file has no end


LIES: dict[str, Lie] = {
    lie.__name__: lie
    for lie in (
        short, too_long, errors, some_errors, garbage, bytes_of_any_kind, runs, nothing, slow,
        silent, mute, wrong_sums, twice, stops_unasked, stops, console, closed, registers, noise,
        ones, everything_is_there, threads, too_many_threads, other_machine,
    )
}  # fmt: skip
"""The lies by their names."""
