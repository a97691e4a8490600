# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile targets: a stub that lies to a real GDB about what it is asked, or about its kernel."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.torture.damage import DAMAGE
from tests.torture.gdb_watch import Watched, faults_of, watch
from tests.torture.kernel_image import KernelImage, make_image
from tests.torture.lies import CONSOLE, EVIL, LIES
from tests.torture.lying_stub import LyingStub
from tests.torture.names import written_in_each_form
from tests.torture.row import Row
from tests.torture.worlds import ask, damaged

__all__ = ("asked", "rows")

_TIMES = 20  # connections for each lie, and for each damage
_SLOW = {"mute", "silent", "ones", "slow", "bytes_of_any_kind", "garbage", "nothing", "short"}
_SELDOM = 6  # connections for each of those, at which GDB waits
_WORLDS = 400  # kernels written by hand
_NAMES = 40  # event files
_PROMISED = 1_000_000  # tasks
_MOST = 1 << 20  # KiB of memory
_TOGETHER = 10  # connections of one GDB
_ECHOED = (f"reply 'E.{EVIL.decode()}'", f"reply: E.{EVIL.decode()}", CONSOLE.decode())
_ASKED = (
    "fpu-info", "fpu-report", "fpu-report --format json", "fpu-report --format csv",
    "fpu-state", "fpu-state --comm Xorg --format json", "fpu-state 36", "fpu-audit --all",
    "fpu-audit --comm Xorg --map", "fpu-audit --all --format sarif", "fpu-doctor",
    "fpu-trace probes", "fpu-trace on --fast auto --limit 2", "output $fpu_reg(30, \"ymm1\")",
    "fpu-state --sigframe 0x7fffffffe000", "fpu-audit --sigframe 0x7fffffffe000",
)  # fmt: skip
_TRACED = ("", "--state full", "--backtrace 5", "--audit", "--state none", "--quiet", "--stop")


def rows(divisor: int) -> Iterator[Row]:
    """Yield a row for each lie, for each damage, and for what needs no debugger."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        image = make_image(folder)
        for lie in LIES:
            times = -(-(_SELDOM if lie in _SLOW else _TIMES) // divisor)
            yield _row(f"a stub that lies: {lie}", image, folder, times, lie, "none")
        for damage in DAMAGE:
            times = -(-_TIMES // divisor)
            yield _row(f"memory that lies: {damage}", image, folder, times, "", damage)
        yield _worlds(_WORLDS // divisor)
        yield _names(_NAMES // divisor, folder)
    yield _promised(_PROMISED // divisor)


def _worlds(times: int) -> Row:
    failures = []
    for number in range(times):
        chance = random.Random(f"world {number}")
        failures += (f"world {number}: {fault}" for fault in ask(damaged(chance), chance))
    return Row("kernels of all eras, damaged, each asked 12 questions", times, tuple(failures))


def _names(times: int, folder: Path) -> Row:
    failures = []
    for number in range(times):
        found = written_in_each_form(random.Random(f"names {number}"), folder)
        failures += (f"names {number}: {fault}" for fault in found)
    return Row("event files with evil names, each in 9 forms", times, tuple(failures))


def _promised(tasks: int) -> Row:
    """Report a list of tasks without an end; its memory must not grow with it for ever."""
    command = [sys.executable, "-m", "tests.torture.no_end", str(tasks)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=True)
    most = int(done.stdout.split()[-2])
    failures = (f"{most >> 10} MiB",) if most > _MOST else ()
    return Row("tasks of a list without an end, in one report", tasks, failures)


def _row(what: str, image: KernelImage, folder: Path, times: int, lie: str, damage: str) -> Row:
    failures: list[str] = []
    left = [f"{lie or damage} {number}" for number in range(times)]
    while left:
        watched = asked(image, folder, left[:_TOGETHER], lie, damage)
        failures += (f"{left[0]}: {fault}" for fault in faults_of(watched, _ECHOED))
        begun = sum(said.command.startswith("target remote") for said in watched.said)
        left = left[max(begun, 1) :]
    return Row(what, times, tuple(failures))


def asked(image: KernelImage, folder: Path, seeds: Sequence[str], lie: str, damage: str) -> Watched:
    """Connect a GDB to the lying stub once for each of `seeds`, and ask it things."""
    commands = [f"file {image.program}", "set remotetimeout 1", "source gdbfpu"]
    plans = []
    for seed in seeds:
        chance = random.Random(seed)
        honest = chance.choice((0, 12, 20, *(chance.randrange(400) for _ in range(5))))
        plans.append((LIES.get(lie), honest, DAMAGE[damage], seed))
        commands += [f"target remote {folder / 'stub'}", *_questions(chance, folder), "disconnect"]
    socket = folder / "stub"
    with LyingStub(image.program, socket, image=image, plans=iter(plans)):
        found = watch(commands, {"XDG_STATE_HOME": str(folder)})
    socket.unlink()
    return found


def _questions(chance: random.Random, folder: Path) -> Iterator[str]:
    yield from chance.sample(_ASKED, 3)
    yield f"fpu-trace on --limit 8 {chance.choice(_TRACED)}"
    yield from ["continue"] * chance.randrange(1, 4)
    yield from ("fpu-trace status", chance.choice(_ASKED), "fpu-trace off")
