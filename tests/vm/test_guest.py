# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest: what its programs announce, what the kernel keeps for them, and the demonstration."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator

import pytest

from qemu.guest import image
from qemu.guest.patterns import EVIL_NAME, PATTERNS
from qemu.kernels import Kernel
from qemu.vm import Machine
from tests.vm.oracle import features, runnable

SIGNALS = 40
DEADLINE = 60.0  # seconds; every command here takes one or two

# One line `guest: NAME pid= signals= ok` each; the others say more.
SINGLE_TASKS = (
    "audiod",
    "between",
    "coredump",
    "evilname",
    "fxall",
    "ia32sig",
    "inhandler",
    "intonly",
    "longago",
    "mmxplay",
    "mxcsronly",
    "sigstorm",
    "x87calc",
    "ymmall",
    "ymmstorm",
    "zeros",
)


@pytest.fixture(scope="module")
def guest(kernel: Kernel, model: str) -> Iterator[Machine]:
    with Machine(kernel.bzimage, image.test_image(), cpu=model) as machine:
        machine.boot("gdbfpu# ", 120.0)
        yield machine


def announcements(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("guest: ")]


def test_guest_has_two_cpus(guest: Machine) -> None:
    assert guest.run("nproc", DEADLINE).split() == ["2"]


def without(guest: Machine, command: str) -> bool:
    """Return whether the CPU has not what a program needs; check that it is killed for that."""
    if runnable([command.split()[0]], features(guest)) == [command.split()[0]]:
        return False
    said = guest.run(f"{command} > /tmp/said; echo $?; cat /tmp/said", DEADLINE)
    assert said.split()[-1] == str(128 + signal.SIGILL) or "guest: ptracer failed" in said, said
    return True


@pytest.mark.parametrize("name", SINGLE_TASKS)
def test_program_takes_exactly_its_signals(guest: Machine, name: str) -> None:
    if without(guest, f"{name} {SIGNALS} 2"):
        return
    (line,) = announcements(guest.run(f"{name} {SIGNALS} 2", DEADLINE))
    assert re.fullmatch(rf"guest: {name} pid=\d+ signals={SIGNALS} ok", line)


def test_threads_take_signals_and_keep_patterns_of_their_own(guest: Machine) -> None:
    if without(guest, f"avxthreads {SIGNALS} 2"):
        return
    lines = announcements(guest.run(f"avxthreads {SIGNALS} 2", DEADLINE))
    pattern = rf"guest: avxthreads pid=(\d+) tgid=(\d+) thread=(\d) signals={SIGNALS} ok"
    found = [re.fullmatch(pattern, line) for line in lines]
    assert all(found), lines
    tids, tgids, indexes = zip(*(match.groups() for match in found if match), strict=True)
    assert sorted(indexes) == ["0", "1", "2", "3"]
    assert len(set(tids)) == 4
    assert set(tgids) == {tids[indexes.index("0")]}


def test_every_generation_takes_a_signal(guest: Machine) -> None:
    (line,) = announcements(guest.run(f"forkexec {SIGNALS} 1", DEADLINE))
    pattern = rf"guest: forkexec pid=\d+ generations={SIGNALS} signals={SIGNALS} ok"
    assert re.fullmatch(pattern, line)


def test_one_thread_of_four_keeps_its_register(guest: Machine) -> None:
    lines = announcements(guest.run(f"onereg {SIGNALS} 2", DEADLINE))
    pattern = rf"guest: onereg pid=\d+ tgid=\d+ thread=(\d) signals={SIGNALS} ok"
    found = [re.fullmatch(pattern, line) for line in lines]
    assert sorted(match[1] if match else "" for match in found) == ["0", "1", "2", "3"]


@pytest.mark.parametrize(("name", "signals", "pairs"), [("onesignal", 1, 3), ("vforkexec", 6, 1)])
def test_children_with_registers_and_without(
    guest: Machine, name: str, signals: int, pairs: int
) -> None:
    lines = announcements(guest.run(f"{name} 6 2", DEADLINE))
    pattern = rf"guest: {name} pid=(\d+) loaded=([01]) signals={signals} ok"
    found = [re.fullmatch(pattern, line) for line in lines]
    assert all(found), lines
    assert [match[2] for match in found if match] == ["0", "1"] * pairs
    assert len({match[1] for match in found if match}) == 2 * pairs


def test_tracer_reads_and_writes_its_child(guest: Machine) -> None:
    if without(guest, "ptracer 10 1"):
        return
    (line,) = announcements(guest.run("ptracer 10 1", DEADLINE))
    calls = "getfpregs=10 setfpregs=10 getregset=20 setregset=20"
    assert re.fullmatch(rf"guest: ptracer pid=\d+ {calls} child=\d+ ok", line)


def test_patterns_survive_when_all_programs_compete(guest: Machine) -> None:
    wanted = [*SINGLE_TASKS, "avxthreads", "forkexec", "ptracer"]
    names = [name for name in wanted if runnable([name], features(guest)) == [name]]
    starts = " ".join(f"{name} {SIGNALS} 2 &" for name in names)
    lines = announcements(guest.run(f"{starts} wait", DEADLINE))
    announced = sorted(line.split()[1] for line in lines)
    assert announced == sorted([*names, *["avxthreads"] * 3 * ("avxthreads" in names)])
    assert all(line.endswith(" ok") for line in lines), lines


def test_core_file_holds_the_pattern(guest: Machine) -> None:
    if without(guest, "coredump 3 2"):
        return
    (line,) = announcements(guest.run("coredump 3 2", DEADLINE))
    core = f"/tmp/core.{line.split('pid=')[1].split()[0]}"
    registers = [PATTERNS["coredump"][f"ymm{i}"] for i in range(16)]
    # XSAVE keeps the halves apart, so neither of these is what lies in the program's memory.
    for half in (slice(0, 16), slice(16, 32)):
        wanted = b"".join(register[half] for register in registers).hex()
        count = guest.run(f"hexdump -ve '1/1 \"%02x\"' {core} | grep -c {wanted}", DEADLINE)
        assert count.split() == ["1"]


def test_evil_name_is_the_task_name(guest: Machine) -> None:
    output = guest.run(
        "evilname 0 50 & sleep 1; hexdump -ve '1/1 \"%02x\"' /proc/$!/comm", DEADLINE
    )
    guest.run("kill $!; wait $!", DEADLINE)
    assert bytes.fromhex(output.split()[-1]) == EVIL_NAME + b"\n"


def test_program_without_a_limit_runs_until_it_is_killed(guest: Machine) -> None:
    guest.run("intonly 0 1 > /tmp/endless & sleep 1", DEADLINE)
    assert guest.run("kill $! && wait $!; echo status $?", DEADLINE).split()[-1] == "143"
    assert guest.run("wc -c < /tmp/endless", DEADLINE).split() == ["0"]


def test_shell_comes_back_when_it_ends(kernel: Kernel, machine: Callable[..., Machine]) -> None:
    booted = machine(image.test_image())
    first = booted.run("echo $$", DEADLINE)
    booted.console.send("exit\n")
    booted.wait_console("gdbfpu# ", DEADLINE)
    assert booted.run("echo $$", DEADLINE) != first


def test_demo_draws_with_the_real_xorg(machine: Callable[..., Machine]) -> None:
    booted = machine(image.demo_image(), memory="768M")
    assert "guest: demo ready" in booted.run("start-demo", 120.0)
    assert "100x100 rectangle" in booted.run("grep ' reps @' /tmp/x11perf.log", DEADLINE)
    server = booted.run("readlink /proc/$(pidof Xorg)/exe", DEADLINE)
    assert server.split() == ["/usr/lib/xorg/Xorg"]
    caught = booted.run("grep SigCgt /proc/$(pidof Xorg)/status", DEADLINE).split()[1]
    assert int(caught, 16) >> 13 & 1, "the X server does not catch SIGALRM"
    running = booted.run("ps -o comm", DEADLINE).split()
    assert {"Xorg", "x11perf", "intonly", "ymmall", "audiod", "crond", "top"} <= set(running)
