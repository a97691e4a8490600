# SPDX-License-Identifier: GPL-2.0-or-later
"""What a hit and a walk cost on the wire, in packets and bytes: no machine's speed is in that."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median

import pytest

from qemu.console import PROMPT
from qemu.guest import image
from qemu.kernels import Kernel
from qemu.vm import Machine
from tests.vm.gdbrun import GdbRun, events
from tests.vm.wire import Turn, Wire

HITS = 120
LOAD = "ymmall 0 2 & x87calc 0 2 & audiod 0 2 & mmxplay 0 2 & avxthreads 0 2 &"
SLEEPERS = 300
PACKET_SIZE = "remote memory-read-packet-size"

# GDB's own breakpoint of which stop() does nothing but count.
NOTHING = f"""python
class Nothing(gdb.Breakpoint):
    hits = 0
    def stop(self):
        Nothing.hits += 1
        return Nothing.hits == {HITS}
Nothing("copy_fpstate_to_sigframe")
end
"""


@pytest.fixture
def guest(kernel: Kernel, model: str) -> Iterator[Machine]:
    """A machine with two CPUs, both busy with signals."""
    with Machine(kernel.bzimage, image.test_image(), cpu=model, parallel=True) as machine:
        machine.boot(PROMPT, 120.0)
        machine.run(LOAD, 10.0)
        yield machine


def turns(
    machine: Machine, kernel: Kernel, commands: list[str], folder: Path
) -> tuple[list[Turn], str]:
    """Attach over KGDB, run `commands`; return what passed at each stop, and GDB's output."""
    machine.break_in()
    with (
        Wire(machine.kgdb, folder) as wire,
        GdbRun(kernel, wire.path, [*commands, "detach"], folder) as gdb,
    ):
        output = gdb.finish()
    return wire.hits(), output


def traced(machine: Machine, kernel: Kernel, folder: Path, options: str) -> list[Turn]:
    """Return what passed at each hit of a trace, but for those at which more is looked for."""
    commands = ["source gdbfpu", f"fpu-trace on --limit {HITS} {options}", "continue"]
    hits, output = turns(machine, kernel, commands, folder)
    assert f"limit of {HITS} hits reached" in output
    hits = hits[: HITS - 1]  # beyond the limit, probes are passed to let the other CPU out of KGDB
    assert len(hits) == HITS - 1
    # At its first hits a task's whole state is looked at, to know whether it uses the FPU.
    assert sum(len(hit.reads) > 5 for hit in hits) < HITS // 5
    return [hit for hit in hits if len(hit.reads) <= 5]


def longest(packets: Iterable[str]) -> int:
    """Return the bytes that the longest memory read asks for."""
    return max(int(packet.split(",")[1], 16) for packet in packets if packet.startswith("m"))


def test_packets_and_bytes_of_a_hit(
    guest: Machine, kernel: Kernel, machine: Callable[..., Machine], tmp_path: Path
) -> None:
    out = tmp_path / "events"
    quiet = traced(guest, kernel, tmp_path, f"--quiet --backtrace 0 --out {out}")
    _, hits = events(out)
    assert len(hits) == HITS
    assert {hit["comm"] for hit in hits} >= {"x87calc", "ymmall"}
    assert all(hit["xfeatures"] for hit in hits)
    printed = traced(guest, kernel, tmp_path, "--backtrace 0")

    single = machine(image.test_image(), smp=1)
    single.run(LOAD, 10.0)
    (tmp_path / "nothing.gdb").write_text(NOTHING)
    commands = [f"source {tmp_path}/nothing.gdb", "continue", "delete"]
    nothing, _ = turns(single, kernel, commands, tmp_path)
    assert len(nothing) >= HITS - 1
    # Where an interrupt gets in front of the step, GDB takes it again.
    assert min(len(hit.sent) for hit in nothing) == 10
    nothing = [hit for hit in nothing if len(hit.sent) == 10]

    for hits_of in (quiet, printed):
        # About one hit in 700 took 11.
        usual = [hit for hit in hits_of if len(hit.sent) <= 9]
        assert len(usual) >= 0.95 * len(hits_of), [hit.sent for hit in hits_of if hit not in usual]
        assert longest(packet for hit in hits_of for packet in hit.sent) <= 510
        beyond = median(hit.bytes for hit in hits_of) - median(hit.bytes for hit in nothing)
        assert beyond <= 600
        assert max(hit.bytes for hit in usual) - median(hit.bytes for hit in nothing) <= 600


def test_packets_of_an_audited_hit(guest: Machine, kernel: Kernel, tmp_path: Path) -> None:
    """It has two stops, neither of which costs much more than a hit without an audit."""
    commands = ["source gdbfpu", f"fpu-trace on --quiet --backtrace 0 --audit --limit {HITS}"]
    stops, output = turns(guest, kernel, [*commands, "continue"], tmp_path)
    assert f"limit of {HITS} hits reached" in output
    assert "not recorded" not in output
    assert len(stops) >= 2 * HITS - 2
    assert median(len(stop.sent) for stop in stops) <= 13
    assert longest(packet for stop in stops for packet in stop.sent) <= 510


def test_reads_are_what_gdb_logs(guest: Machine, kernel: Kernel, tmp_path: Path) -> None:
    """The proxy counts what GDB itself says that it sent."""
    guest.break_in()
    log = tmp_path / "log"
    names = ("pagination", "dcache line-size", "osabi", PACKET_SIZE)
    shown = [f"show {name}" for name in names]
    trace = ["fpu-trace on --quiet --state full --backtrace 8 --limit 20", "continue"]
    commands = ["source gdbfpu", *shown, "echo FROM\\n", *trace, "echo TO\\n", *shown, "detach"]
    with (
        Wire(guest.kgdb, tmp_path) as wire,
        GdbRun(kernel, wire.path, commands, tmp_path, [f"set remotelogfile {log}"]) as gdb,
    ):
        output = gdb.finish()
    before, after = output.split("FROM\n")[0], output.split("TO\n")[1]
    assert (said := before.splitlines()[-5:]) == after.splitlines()[:5], said
    assert "memory-read-packet-size is 0 (default)" in said[-1]
    text = log.read_text(encoding="latin-1")
    logged = re.findall(r"\$([^#\n]*)#[0-9a-f]{2}$", "\n".join(sent_lines(text)), re.MULTILINE)
    assert [packet for packet in wire.sent if packet[0] in "mgPcZz"] == [
        packet for packet in logged if packet[0] in "mgPcZz"
    ]
    assert longest(wire.sent) == 510  # the most that KGDB's stub bears


def sent_lines(log: str) -> list[str]:
    return [line for line in log.splitlines() if line.startswith("w ")]


def test_walk_over_the_gdbstub_reads_each_task_at_most_three_times(
    guest: Machine, kernel: Kernel, tmp_path: Path
) -> None:
    assert f"tasks={SLEEPERS} ok" in guest.run(f"sleepers {SLEEPERS} & sleep 1", 30.0)
    out = tmp_path / "report"
    commands = [
        "source gdbfpu",
        "fpu-info",  # what is known once of a kernel is known then
        "maint packet qBegin",
        f"fpu-report --format json --out {out}",
        "maint packet qEnd",
        "detach",
    ]
    with (
        Wire(guest.gdbstub, tmp_path) as wire,
        GdbRun(kernel, wire.path, commands, tmp_path) as gdb,
    ):
        gdb.finish()
    report = json.loads(out.read_text())
    sleepers = [task for task in report["tasks"] if task["comm"] == "sleepers"]
    assert Counter(task["uses_fpu"] for task in sleepers) == {
        True: SLEEPERS // 2,
        False if report["switching"] == "lazy" else None: SLEEPERS // 2 + 1,  # seen once
    }
    assert report["defects"] == []
    reads = [packet for packet in wire.between("qBegin", "qEnd") if packet.startswith("m")]
    assert len(reads) > report["totals"]["tasks"]
    assert len(reads) <= 3 * report["totals"]["tasks"]
