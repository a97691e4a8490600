# SPDX-License-Identifier: GPL-2.0-or-later
"""`fpu-doctor` and `gdbfpu doctor` on booted kernels: each trouble is made, named, and mended."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from gdbfpu.cli import main
from gdbfpu.doctor.line import COSTS, Line
from qemu.console import PROMPT
from qemu.guest import image
from qemu.kept import Kept
from qemu.kernels import Kernel
from qemu.vm import QEMU, Machine
from tests.vm.gdbrun import GdbRun
from tests.vm.oracle import enabled
from tests.vm.test_wire import LOAD, turns
from tests.vm.wire import SerialWire

TOO_LONG = "Remote 'g' packet reply is too long"
DOCTOR = "pipe fpu-doctor --format json | cat > "
WAITS = r"KGDB: Waiting for connection from remote gdb"
LIMIT = 40
Boot = Callable[..., Machine]


def found(file: Path) -> dict[str, dict[str, Any]]:
    """Return the findings that `fpu-doctor` wrote into `file`, by check."""
    told = json.loads(file.read_text())
    rows = {row["check"]: row for row in told["findings"]}
    assert told["trouble"] == any(row["verdict"] == "trouble" for row in rows.values())
    return rows


def verdicts(rows: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {check: row["verdict"] for check, row in rows.items()}


def examined(
    kernel: Kernel, socket: Path, folder: Path, *commands: str, options: tuple[str, ...] = ()
) -> tuple[dict[str, dict[str, Any]], str]:
    """Attach, run `commands` and the doctor; return its findings and all output."""
    run = ["source gdbfpu", *commands, f"{DOCTOR}{folder}/found", "detach"]
    with GdbRun(kernel, socket, run, folder, options) as gdb:
        output = gdb.finish()
    return found(folder / "found"), output


@pytest.mark.parametrize("stub", ["kgdb", "gdbstub"])
def test_healthy(machine: Boot, kernel: Kernel, initrd: Path, tmp_path: Path, stub: str) -> None:
    guest = machine(initrd)
    components = enabled(guest)
    if stub == "kgdb":
        guest.break_in()
    rows, _ = examined(kernel, getattr(guest, stub), tmp_path)
    assert "trouble" not in verdicts(rows).values(), rows
    assert "cannot be told" not in verdicts(rows).values(), rows
    assert rows["connection"]["seen"].startswith("kgdb" if stub == "kgdb" else "qemu")
    assert rows["KASLR"]["seen"] == "the kernel lies where vmlinux says"
    # TCG, which both of them know of this CPU
    assert rows["CPU model"]["verdict"] == "limited"
    assert ("AVX" in rows["CPU model"]["seen"].split(" ")[0]) == bool(components & 4)


@pytest.mark.parametrize("stub", ["kgdb", "gdbstub"])
def test_wrong_architecture(
    machine: Boot, kernel: Kernel, initrd: Path, tmp_path: Path, stub: str
) -> None:
    """What mends it is typed, and GDB is attached again."""
    guest = machine(initrd)
    if stub == "kgdb":
        guest.break_in()
    socket = getattr(guest, stub)
    first = f"pipe fpu-doctor --format json | cat > {tmp_path}/before"
    # QEMU's registers are too many for i386; those of KGDB are taken for others, and GDB attaches.
    mend = ["disconnect"] * (stub == "kgdb") + ["set architecture i386:x86-64"]
    then = (*mend, f"target remote {socket}", f"file {kernel.vmlinux}")
    options = ("file", "set architecture i386")
    rows, output = examined(kernel, socket, tmp_path, first, *then, options=options)
    assert (TOO_LONG in output) == (stub == "gdbstub")
    before = found(tmp_path / "before")
    assert before["architecture"]["verdict"] == "trouble"
    assert TOO_LONG in before["architecture"]["seen"]
    assert before["architecture"]["mend"][:-1] == mend
    assert before["connection"]["verdict"] == "cannot be told"
    assert verdicts(rows)["architecture"] == verdicts(rows)["build-id"] == "ok"


def test_before_the_kernel(kernel: Kernel, model: str, tmp_path: Path) -> None:
    """A machine as QEMU starts it with -S: the CPU is at the firmware's first instruction."""
    argv = [QEMU, "-S", "-display", "none", "-nic", "none", "-cpu", model]
    machine = Kept([*argv, "-gdb", "unix:gdb.sock,server=on,wait=off"])
    try:
        machine.connect("gdb.sock", time.monotonic() + 10.0).close()
        rows, _ = examined(kernel, machine.directory / "gdb.sock", tmp_path)
    finally:
        machine.close()
    assert rows["CPU mode"]["verdict"] == "trouble", rows
    assert rows["KASLR"]["verdict"] == rows["build-id"]["verdict"] == "cannot be told"


def test_packet_size(machine: Boot, kernel: Kernel, initrd: Path, tmp_path: Path) -> None:
    """The size that would overrun KGDB's buffer is named, and what mends it mends it."""
    guest = machine(initrd)
    guest.break_in()
    size = "remote memory-read-packet-size"
    bad = ("set confirm off", f"set {size} 4096", f"set {size} fixed")
    first = f"pipe fpu-doctor --format json | cat > {tmp_path}/before"
    mend = (f"set {size} 0", f"set {size} limit")
    rows, output = examined(kernel, guest.kgdb, tmp_path, *bad, first, *mend, f"show {size}")
    before = found(tmp_path / "before")["packets"]
    assert before["verdict"] == "trouble"
    assert "2,048 bytes" in before["seen"]
    assert before["mend"] == list(mend)
    assert rows["packets"]["verdict"] == "ok"
    assert "is 0 (default)" in output


def test_rodata(
    machine: Boot, kernel: Kernel, initrd: Path, symbols: dict[str, int], tmp_path: Path
) -> None:
    """At kgdbwait the text is writable yet, which rodata=off makes harmless."""
    seen = {}
    for options in ("kgdbwait", "kgdbwait rodata=off"):
        guest = machine(initrd, append=options, until=WAITS)
        rows, _ = examined(kernel, guest.kgdb, tmp_path)
        seen[options] = rows["rodata"]
        guest.close()
    if "mark_rodata_ro" in symbols:  # else the kernel never protects its text
        assert seen["kgdbwait"]["verdict"] == "trouble"
        assert any("rodata=off" in line for line in seen["kgdbwait"]["mend"])
    else:
        assert seen["kgdbwait"]["verdict"] == "ok"
    assert seen["kgdbwait rodata=off"]["verdict"] == "ok"


def test_kaslr(kernel: Kernel, initrd: Path, model: str, tmp_path: Path) -> None:
    """The kernel's own word on where it lies, against the doctor's."""
    with Machine(kernel.bzimage, initrd, cpu=model, kaslr=True) as guest:
        guest.boot(PROMPT, 120.0)
        shown = guest.run("grep -w linux_banner /proc/kallsyms", 20.0)
        rows, output = examined(kernel, guest.gdbstub, tmp_path, "print &linux_banner")
    assert rows["KASLR"]["verdict"] == "ok", rows
    linked = int(re.search(r"(0x\w+) <linux_banner>", output)[1], 16)
    slide = int(shown.split()[0], 16) - linked
    if slide:
        assert f"lies {slide:#x} above" in rows["KASLR"]["seen"]
    else:
        assert rows["KASLR"]["seen"] == "the kernel lies where vmlinux says"


def test_blocklist(
    machine: Boot, kernel: Kernel, initrd: Path, symbols: dict[str, int], tmp_path: Path
) -> None:
    """A breakpoint that KGDB refuses is named if it refuses any: a kernel with kprobes does."""
    guest = machine(initrd)
    guest.break_in()
    refuses = {"within_kprobe_blacklist", "kgdb_validate_break_address"} <= symbols.keys()
    at = next(n for n in ("exc_int3", "do_int3", "int3") if n in symbols)
    first = f"pipe fpu-doctor --format json | cat > {tmp_path}/before"
    rows, _ = examined(kernel, guest.kgdb, tmp_path, f"break *{at}", first, "delete 1")
    before = found(tmp_path / "before")["blocklist"]
    assert before["verdict"] == ("trouble" if refuses else "ok"), before
    if refuses:
        assert f"1 at {symbols[at]:#x}" in before["seen"]
        assert before["mend"][0] == "delete 1"
        assert "exc_device_not_available" in rows["blocklist"]["seen"]
        assert rows["blocklist"]["verdict"] == "limited"


def test_cpu_without_avx(machine: Boot, kernel: Kernel, initrd: Path, tmp_path: Path) -> None:
    guest = machine(initrd, cpu="Nehalem")
    rows, _ = examined(kernel, guest.gdbstub, tmp_path)
    assert rows["CPU model"]["verdict"] == "limited"
    assert "no AVX" in rows["CPU model"]["seen"]
    assert rows["CPU model"]["seen"].startswith("x87|SSE can be seen")


def asked(device: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return what `gdbfpu doctor` says of who answers on `device`."""
    main(["doctor", "--device", str(device), "--format", "json"])
    rows = json.loads(capsys.readouterr().out)["findings"]
    return next(row for row in rows if row["check"] == "who answers")


def test_nobody_answers(machine: Boot, initrd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The kernel runs; what the finding says to type makes KGDB listen."""
    guest = machine(initrd)
    running = asked(guest.kgdb, capsys)
    assert running["verdict"] == "cannot be told"
    guest.console.send(f"{running['mend'][-1]}\n")
    guest.wait_console(r"(?i)sysrq ?: [^\r\n]*DEBUG", 10.0)
    time.sleep(1.0)  # KGDB takes what waits in its UART
    assert asked(guest.kgdb, capsys)["verdict"] == "ok"


def test_who_answers(
    machine: Boot,
    kernel: Kernel,
    symbols: dict[str, int],
    initrd: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """kdb first, if the kernel has it; once its word `kgdb` is typed, KGDB; GDB then attaches."""
    guest = machine(initrd)
    guest.break_in()
    if "kdb_main_loop" in symbols:
        stopped = asked(guest.kgdb, capsys)
        assert (stopped["verdict"], stopped["mend"][-1]) == ("limited", "kgdb")
        assert "kdb answers" in stopped["seen"]
        typed(guest.kgdb, b"kgdb\r")
    assert asked(guest.kgdb, capsys)["seen"].startswith("KGDB answers")
    rows, _ = examined(kernel, guest.kgdb, tmp_path)
    assert rows["connection"]["verdict"] == "ok"


def typed(device: Path, keys: bytes) -> None:
    """Type `keys`, and wait until nothing more is said."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(device))
        line.settimeout(1.0)
        line.sendall(keys)
        try:
            while line.recv(4096):
                pass
        except TimeoutError:
            pass


def test_costs_of_a_hit(kernel: Kernel, model: str, tmp_path: Path) -> None:
    """What the arithmetic of a line rests on is what passes, counted by a proxy."""
    with Machine(kernel.bzimage, image.test_image(), cpu=model, parallel=True) as guest:
        guest.boot(PROMPT, 120.0)
        guest.run(LOAD, 10.0)
        for cost in COSTS:
            trace = f"fpu-trace on --quiet --limit {LIMIT} {cost.options}"
            hits, _ = turns(guest, kernel, ["source gdbfpu", trace, "continue"], tmp_path)
            packets, size = (median(n) for n in zip(*((len(h.sent), h.bytes) for h in hits)))
            assert packets <= cost.packets + 2
            assert size < 1.3 * cost.size
            if "full" not in cost.options:  # how much that is depends on the CPU
                assert packets >= cost.packets - 2
                assert size > 0.7 * cost.size


@pytest.mark.parametrize("latency", [0, 16])
def test_hits_through_a_serial_line(
    kernel: Kernel, model: str, tmp_path: Path, latency: int
) -> None:
    """What the doctor promises of a line is not exceeded, and what a hit takes is the line's."""
    with Machine(kernel.bzimage, image.test_image(), cpu=model, parallel=True) as guest:
        guest.boot(PROMPT, 120.0)
        guest.run(LOAD, 10.0)
        guest.break_in()
        trace = [f"fpu-trace on --quiet --limit {LIMIT}", "continue", "detach"]
        with (
            SerialWire(guest.kgdb, tmp_path, 115200, latency) as wire,
            GdbRun(kernel, wire.path, ["source gdbfpu", *trace], tmp_path) as gdb,
        ):
            gdb.finish(240.0)
    hits = wire.hits()[LIMIT // 3 : LIMIT - 1]  # at its first ones a task is looked at
    apart = [after.stopped - hit.stopped for hit, after in pairwise(hits)]
    promised = COSTS[0].rate(Line(115200, latency))
    assert 1 / median(apart) <= 1.1 * promised
    taken = median(wire.taken[id(hit)] for hit in hits)
    assert 0.7 < taken * promised < 1.3, (taken, promised)
