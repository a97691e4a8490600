# SPDX-License-Identifier: GPL-2.0-or-later
"""A trace whose connection ends at a hit, and one that begins where a kernel stands on a probe."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qemu.console import PROMPT
from qemu.guest import image
from qemu.kernels import Kernel
from qemu.vm import Machine
from tests.vm.gdbrun import GdbRun, events
from tests.vm.wire import Wire

BOOT = 120.0
LOAD = "x87calc 0 20 > /dev/null & ymmall 0 20 > /dev/null &"
SAVE = "copy_fpstate_to_sigframe"
LIMIT = 20


@pytest.fixture(scope="module")
def loaded(kernel: Kernel, model: str) -> Iterator[Machine]:
    """A machine whose programs take signals all the time, its CPUs at the same time."""
    with Machine(kernel.bzimage, image.test_image(), cpu=model, parallel=True) as machine:
        machine.boot(PROMPT, BOOT)
        machine.run(LOAD, 20.0)
        yield machine


class CutWire(Wire):
    """A wire that ends before GDB's packet number `packet` at the sixth stop."""

    def __init__(self, stub: Path, folder: Path, packet: int) -> None:
        super().__init__(stub, folder)
        self._packet = packet

    def _pass_on(self, to: socket.socket, data: bytes, *, from_gdb: bool) -> None:
        if len(self.turns) > 6 and len(self.turns[-1].sent) >= self._packet:
            raise ConnectionResetError
        to.sendall(data)


# Not where GDB writes a register: there GDB 13 itself uses memory that it has freed.
@pytest.mark.parametrize("packet", [1, 2, 3, 4])
def test_the_connection_ends_at_a_hit(
    kernel: Kernel, loaded: Machine, tmp_path: Path, packet: int
) -> None:
    """The hit is the last one of the trace, and of the event file."""
    out = tmp_path / "events"
    commands = [
        "set python print-stack full",
        "source gdbfpu",
        f"fpu-trace on --out {out}",
        "continue",
        "fpu-trace status",
        "maint info breakpoints",
        "fpu-trace off",
        "maint info breakpoints",
    ]
    with (
        CutWire(loaded.gdbstub, tmp_path, packet) as wire,
        GdbRun(kernel, wire.path, commands, tmp_path) as gdb,
    ):
        output = gdb.finish()
    assert output.count("fpu-trace: the kernel is gone; tracing is off") == 1
    assert wire.turns[-1].sent, "the wire was not cut at a hit"
    _, hits = events(out)
    assert hits
    assert f"tracing is off; {len(hits)} hit" in output
    assert "closed file" not in output and "is invalid" not in output
    with GdbRun(kernel, loaded.gdbstub, ["detach"], tmp_path) as second:
        second.finish()
    assert "signals=3 ok" in loaded.run("sigstorm 3", 20.0)


STAND = f"""python
import re
said = gdb.execute("fpu-trace status", to_string=True)
place = re.search(r"{SAVE} at (0x\\w+), on .mov", said)[1]
gdb.execute("fpu-trace off")
gdb.execute("tbreak *" + place)
gdb.execute("continue")
print("STANDS", gdb.parse_and_eval("$rip") == int(place, 16))
end
"""


@pytest.mark.parametrize("stub", ["kgdb", "gdbstub"])
def test_a_trace_begins_where_the_kernel_stands_on_a_probe(
    kernel: Kernel, loaded: Machine, tmp_path: Path, stub: str
) -> None:
    """As after a debugger that was killed: GDB would step, which hangs a kernel in KGDB."""
    out = tmp_path / "events"
    (tmp_path / "stand.gdb").write_text(STAND)
    commands = [
        "source gdbfpu",
        "fpu-trace on --quiet",
        f"source {tmp_path}/stand.gdb",
        f"fpu-trace on --limit {LIMIT} --out {out}",
        "fpu-trace status",
        "continue",
        "detach",
    ]
    if stub == "kgdb":
        loaded.break_in()
    socket = loaded.kgdb if stub == "kgdb" else loaded.gdbstub
    with GdbRun(kernel, socket, commands, tmp_path) as gdb:
        output = gdb.finish()
    assert "STANDS True" in output
    assert "tracing is on; 1 hit of 1 task" in output
    assert len(events(out)[1]) == LIMIT
    assert re.search(rf"^ +{LIMIT} ", output, re.MULTILINE)
    assert "signals=3 ok" in loaded.run("sigstorm 3", 20.0)


@pytest.mark.parametrize("panic", [False, True])
def test_kgdb_is_entered(kernel: Kernel, model: str, tmp_path: Path, panic: bool) -> None:
    """By a SysRq key, or by a panic, after which nothing stops a kernel that runs on."""
    with Machine(kernel.bzimage, image.test_image(), cpu=model, parallel=True) as machine:
        machine.boot(PROMPT, BOOT)
        machine.run("echo 0 > /proc/sys/kernel/panic", 20.0)
        machine.break_in()
        commands = ["fpu-trace on --quiet", "continue", "fpu-trace off", "detach"]
        with GdbRun(kernel, machine.kgdb, ["source gdbfpu", *commands], tmp_path) as gdb:
            gdb.wait_for("without a step")
            machine.run("sigstorm 5", 30.0)
            if panic:
                machine.console.send("echo c > /proc/sysrq-trigger\n")
            else:
                machine.break_in()
            output = gdb.finish(60.0)
    said = re.findall(r"^fpu-trace: interrupted: (\d+) hits, tracing is on$", output, re.MULTILINE)
    assert len(said) == 1 and int(said[0]) >= 5
    assert f"fpu-trace: off; {said[0]} hits so far" in output


RIP = 'printf "rip=%#lx\\n", $rip'


def test_a_new_debugger_sets_cpus_back_that_ran_into_a_probe(
    kernel: Kernel,
    model: str,
    symbols: dict[str, int],
    tmp_path: Path,
) -> None:
    """Over KGDB they are behind the INT3, in the middle of the instruction that was there."""
    with Machine(kernel.bzimage, image.test_image(), cpu=model, parallel=True) as machine:
        machine.boot(PROMPT, BOOT)
        machine.break_in()
        commands = ["source gdbfpu", "fpu-trace on", "continue"]
        with GdbRun(kernel, machine.kgdb, commands, tmp_path) as gdb:
            gdb.wait_for("CPU function")
            machine.run("echo the kernel runs", 20.0)
            gdb.process.kill()
            gdb.process.wait(10.0)
            probe = int(re.findall(rf"{SAVE} at (0x\w+), on `mov", gdb.output)[0], 16)
        # BusyBox's shell may leave if a job in the background ends while it reads.
        machine.console.send("sigstorm 5 & sigstorm 5 & sigstorm 5 & wait\n")
        deadline = time.monotonic() + 20.0
        while machine.read_memory(symbols["kgdb_active"], 4) == b"\xff" * 4:
            assert time.monotonic() < deadline, "no CPU ran into the probe"
            time.sleep(0.05)
        commands = ["source gdbfpu", RIP, "set debug remote 1", "fpu-trace off", "detach"]
        with GdbRun(kernel, machine.kgdb, commands, tmp_path) as second:
            output = second.finish()
        assert f"rip={probe + 1:#x}" in output
        assert f"$P10={probe.to_bytes(8, 'little').hex()}#" in output
        assert "set the stopped CPU back to the breakpoint" in output
        for _ in range(3):
            machine.wait_console("signals=5 ok", 20.0)
        machine.check()


def test_a_new_debugger_finds_no_breakpoint_of_the_last_one(
    kernel: Kernel, loaded: Machine, tmp_path: Path
) -> None:
    """QEMU 7.2 forgets them for one CPU when a debugger connects; the others would stop at them."""
    commands = ["source gdbfpu", "fpu-trace on", "continue"]
    with GdbRun(kernel, loaded.gdbstub, commands, tmp_path) as gdb:
        gdb.wait_for(" 5  ")
        gdb.process.kill()
        gdb.process.wait(10.0)
    commands = ["source gdbfpu", "fpu-trace off", "echo READY\\n", "continue", "detach"]
    with GdbRun(kernel, loaded.gdbstub, commands, tmp_path) as second:
        second.wait_for("READY")
        assert "signals=20 ok" in loaded.run("sigstorm 20", 30.0)
        second.interrupt()
        output = second.finish()
    assert "SIGTRAP" not in output.split("READY")[1]
