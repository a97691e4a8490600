# SPDX-License-Identifier: GPL-2.0-or-later
"""Stubs that lie: what they say stays text, and no command waits for ever or fails oddly."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.torture.damage import none
from tests.torture.gdb_watch import Watched, faults_of, watch
from tests.torture.kernel_image import KernelImage, make_image
from tests.torture.lies import EVIL, framed, mute
from tests.torture.lying_stub import Lie, LyingStub

ATTACH = 30  # packets, more than an honest GDB 13 needs to attach


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> KernelImage:
    return make_image(tmp_path_factory.mktemp("image"))


@pytest.fixture
def asked(image: KernelImage, tmp_path: Path) -> Callable[..., Watched]:
    """Return what a GDB says to commands on a stub that lies after so many packets."""

    def ask(lie: Lie, honest: int, *commands: str, deadline: float = 30.0) -> Watched:
        socket = tmp_path / "stub"
        first = (f"file {image.program}", "source gdbfpu", f"target remote {socket}")
        plans = iter([(lie, honest, none, "seed")])
        with LyingStub(image.program, socket, image=image, plans=plans):
            return watch([*first, *commands], {"XDG_STATE_HOME": str(tmp_path)}, deadline)

    return ask


def said(watched: Watched, command: str) -> str:
    return next(said.text for said in watched.said if said.command == command)


def test_what_a_stub_says_is_no_command_to_the_terminal(asked: Callable[..., Watched]) -> None:
    """GDB quotes an error of the stub in its own; that of a hit is shown by `status`."""

    def lie(stub: LyingStub, packet: str, true: list[str]) -> Iterator[str | bytes]:
        yield from [framed(b"E." + EVIL)] if packet[:1] == "P" else true

    watched = asked(lie, 0, "fpu-trace on", "continue", "fpu-trace status")
    status = said(watched, "fpu-trace status")
    assert re.search(r"remote failure reply '(E\.)?\\x1b]0;owned\\x07\\x1b\[31m", status)
    assert faults_of(watched, (f"reply 'E.{EVIL.decode()}'",)) == []


def test_a_stub_that_fails_while_gdb_attaches(image: KernelImage, tmp_path: Path) -> None:
    """GDB can then have a thread of which its Python never heard."""

    def lie(stub: LyingStub, packet: str, true: list[str]) -> Iterator[str | bytes]:
        yield "E01"

    socket, honest = tmp_path / "stub", range(8, 20)  # an error sooner keeps GDB waiting
    asked = (f"target remote {socket}", "fpu-report", "output $fpu_task()", "disconnect")
    plans = iter([(lie, packets, none, "seed") for packets in honest])
    with LyingStub(image.program, socket, image=image, plans=plans):
        watched = watch([f"file {image.program}", "source gdbfpu", *asked * len(honest)], {})
    told = [one.text for one in watched.said if one.command == "fpu-report"]
    where = "fpu-report: no kernel to look at: attach first (`target remote SOCKET`)\n"
    assert len(told) == len(honest) and any(where in text for text in told)
    assert faults_of(watched) == []


def test_a_stub_that_is_silent(asked: Callable[..., Watched]) -> None:
    """The search for the kernel would try 512 places, and wait some seconds for each."""

    def lie(stub: LyingStub, packet: str, true: list[str]) -> Iterator[str | bytes]:
        yield from () if packet[:1] == "m" else true

    commands = ("fpu-info", "fpu-report", "fpu-audit --all")
    watched = asked(lie, ATTACH, *commands)
    for command in commands:
        assert "the stub does not answer: is the machine still there?" in said(watched, command)
    assert faults_of(watched) == []


def test_a_monitor_that_never_answers(asked: Callable[..., Watched]) -> None:
    """GDB would wait for its answer without end."""

    def lie(stub: LyingStub, packet: str, true: list[str]) -> Iterator[str | bytes]:
        yield from mute(stub, packet, true) if packet.startswith("qRcmd") else true

    began = time.monotonic()
    watched = asked(lie, 0, "fpu-report", "fpu-state 30")
    assert "9 of 13 tasks use the FPU" in said(watched, "fpu-report")
    assert "Xorg (pid 30" in said(watched, "fpu-state 30")
    assert 10 < time.monotonic() - began < 60
    assert faults_of(watched) == []


def test_a_monitor_whose_answer_is_no_text(asked: Callable[..., Watched]) -> None:
    def lie(stub: LyingStub, packet: str, true: list[str]) -> Iterator[str | bytes]:
        yield from ["O" + b"EAX=\xcf\n".hex(), "OK"] if packet.startswith("qRcmd") else true

    watched = asked(lie, 0, "fpu-report", "fpu-state 30", "fpu-doctor")
    assert "9 of 13 tasks use the FPU" in said(watched, "fpu-report")
    assert "KVM: the stub has no monitor: the answer of the monitor is not text" in " ".join(
        said(watched, "fpu-doctor").split()
    )
    assert faults_of(watched) == []


def test_a_connection_that_ends_in_continue(asked: Callable[..., Watched]) -> None:
    """GDB gives up at the second ^C. To delete a breakpoint is an error then."""

    def lie(stub: LyingStub, packet: str, true: list[str]) -> Iterator[str | bytes]:
        yield from [""] if packet[:1] == "c" else true

    watched = asked(lie, 0, "fpu-trace on", "continue", "fpu-trace status", "fpu-trace off")
    assert "fpu-trace: the kernel is gone; tracing is off" in said(watched, "continue")
    assert said(watched, "fpu-trace status").startswith("tracing is off")
    assert faults_of(watched) == []


def test_gdb_itself_writes_files_for_a_stub(image: KernelImage, tmp_path: Path) -> None:
    """The File-I/O of the remote protocol: docs/guarantees.md warns of it, and not in vain."""
    name = str(tmp_path / "made").encode() + b"\0"
    place = image.symbols["tasks"]

    def store_name(stub: LyingStub) -> None:
        stub.put(place, name)

    def lie(stub: LyingStub, packet: str, true: list[str]) -> Iterator[str | bytes]:
        creates = f"Fopen,{place:x}/{len(name):x},601,1b6"  # O_CREAT, O_WRONLY, O_TRUNC; 0666
        yield from {"c": [creates], "F": ["S05"]}.get(packet[:1], true)

    socket = tmp_path / "stub"
    with LyingStub(image.program, socket, image=image, plans=iter([(lie, 0, store_name, "")])):
        watch([f"file {image.program}", f"target remote {socket}", "continue"], {})
    assert (tmp_path / "made").exists()
