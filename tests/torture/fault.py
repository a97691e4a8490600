# SPDX-License-Identifier: GPL-2.0-or-later
"""A fault that comes while a trace is under way, again and again, and what holds after each."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qemu.errors import HarnessError
from tests.torture import checks
from tests.torture.debugger import Debugger, EndedError
from tests.torture.lab import STUBS, Lab
from tests.torture.row import Row
from tests.torture.wires import BadWire

__all__ = ("Fault", "Scene", "row")

HITS = 60.0  # seconds for some hits to come
BEFORE = (3, 10)  # how many hits there are before a fault
AFTER = 3  # how many there are after one that ends nothing
LOGS = Path("build/torture")


@dataclass(frozen=True)
class Scene:
    """A trace under way, whose hits go to `out`; `wire` may be a proxy between GDB and the stub.

    The kernel runs, until a fault or `stop` stops it.
    """

    lab: Lab
    gdb: Debugger
    out: Path
    chance: random.Random
    wire: BadWire | None

    def wait_for_hits(self, more: int) -> None:
        """Wait until the event file has this many hits more."""
        assert self.hits_come(more, HITS), f"no hits come: {self.gdb.now()[-200:]!r}"

    def hits_come(self, more: int, seconds: float) -> bool:
        """Return whether the event file gets this many hits more in time."""
        wanted, deadline = checks.hits_in(self.out) + more, time.monotonic() + seconds
        while checks.hits_in(self.out) < wanted:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.03)
        return True

    def pause(self, longest: float) -> None:
        """Wait for up to so many seconds, so that a fault comes at any moment of a hit."""
        time.sleep(self.chance.uniform(0.0, longest))

    def stop(self) -> str:
        """Stop the kernel; return what GDB has printed since it ran."""
        return self.lab.stop(self.gdb)

    def go_on(self) -> None:
        """Let the kernel run."""
        self.gdb.send("continue")

    def ask(self, *commands: str) -> None:
        """Stop the kernel for these commands of GDB, and let it run on."""
        self.stop()
        self.gdb.ask(*commands)
        self.go_on()


@dataclass(frozen=True)
class Fault:
    """`act` brings the fault `what` to a scene. `leaves` says what is there after it:

    - `running`: all, and the kernel runs; `prompt`: all, and GDB is at its prompt;
    - `gdb`: GDB, but it has no kernel; `kernel`: the kernel, but no GDB;
    - `nothing`: GDB; `wreck`: GDB at its prompt, and a kernel that is of no more use.

    gdbfpu says each of `says`, regular expressions of a line, exactly once. `bad_wire`: GDB is
    connected through a proxy that can misbehave. `options` are more of those of `fpu-trace on`.
    `whole`: the event file has every hit that gdbfpu counts. `forgiven` is in the line with which
    GDB 13 ends at such a fault in its own event loop, without a frame of Python in its backtrace.
    """

    what: str
    act: Callable[[Scene], None]
    leaves: str
    says: tuple[str, ...] = ()
    bad_wire: bool = False
    options: str = ""
    whole: bool = True
    stubs: tuple[str, ...] = STUBS
    forgiven: str = ""


def row(fault: Fault, lab: Lab, times: int) -> Row:
    """Let `fault` happen so many times; return the row of the table.

    Each time begins with a new GDB, which removes what the time before has left in the kernel. A
    time does not count if GDB crashed because the connection ended while it wrote a register: GDB
    then uses memory that it has freed, whatever runs in it.
    """
    failures: list[str] = []
    done = crashed = 0
    chance = random.Random(f"{fault.what} {lab.stub}")
    while (done < times or lab.booted) and len(failures) <= times:
        scenes: list[Scene] = []
        try:
            with _attached(fault, lab) as (gdb, wire):
                checks.restored(lab, gdb)
                if done == times:
                    checks.left(lab, gdb)
                    break
                done += 1
                scenes.append(Scene(lab, gdb, lab.new_file(), chance, wire))
                _once(fault, scenes[0])
        except (AssertionError, HarnessError, OSError) as error:
            if crashed < times and _is_gdbs(error, *scenes):
                done, crashed = done - 1, crashed + 1
            else:
                why = f"{error or type(error).__name__}".split("\n")[0]
                failures.append(f"time {done}: {why} ({_kept(fault, lab, done, why, scenes)})")
            lab.lose()
    more = f" ({crashed} more crashed GDB)" if crashed else ""
    return Row(f"{fault.what}, {lab.stub}{more}", times, tuple(failures))


def _is_gdbs(error: Exception, scene: Scene | None = None) -> bool:
    """Tell the crash that is GDB's own, when a register cannot be written, from all else."""
    if scene is None or scene.wire is None or not isinstance(error, EndedError):
        return False
    return error.status == -signal.SIGSEGV and scene.wire.writes_a_register


@contextmanager
def _attached(fault: Fault, lab: Lab) -> Iterator[tuple[Debugger, BadWire | None]]:
    if not fault.bad_wire:
        with lab.attach() as gdb:
            yield gdb, None
        return
    with BadWire(lab.socket, lab.folder) as wire, lab.attach(wire.path) as gdb:
        yield gdb, wire


def _once(fault: Fault, scene: Scene) -> None:
    """Trace, let `fault` happen, and check what there is after it."""
    lab, gdb = scene.lab, scene.gdb
    gdb.ask(f"fpu-trace on {fault.options} --out {scene.out}")
    scene.go_on()
    checks.guest_runs(lab)
    scene.wait_for_hits(scene.chance.randint(*BEFORE))
    fault.act(scene)
    if fault.leaves == "running":
        if fault.whole:
            scene.wait_for_hits(AFTER)
        scene.stop()
    counted = _end(fault, scene) if fault.leaves != "kernel" else None
    checks.output(gdb.output, fault.says, fault.forgiven)
    if fault.whole:
        checks.file(scene.out, counted, checks.shown(gdb.output))


def _end(fault: Fault, scene: Scene) -> int:
    """End the trace and GDB; return how many hits GDB has counted.

    Over KGDB, the end of the trace takes the hits that other CPUs wait to report.
    """
    lab, gdb = scene.lab, scene.gdb
    off = gdb.ask("fpu-trace off")
    counted = checks.counted(gdb)
    if fault.leaves in ("running", "prompt", "wreck"):
        assert "fpu-trace: off; " in off, f"`fpu-trace off` says {off!r}"
        gdb.ask("detach")
        changed = lab.changed()
        assert not changed, f"after `fpu-trace off`, {changed}"
    if fault.leaves in ("nothing", "wreck"):
        lab.lose()
    status = gdb.quit()
    assert status == 0, f"GDB ended with status {status}"
    return counted


def _kept(fault: Fault, lab: Lab, number: int, why: str, scenes: list[Scene]) -> Path:
    """Keep what GDB has printed; return the file."""
    LOGS.mkdir(parents=True, exist_ok=True)
    name = f"{fault.what}-{lab.stub}-{number}.log".translate(str.maketrans(" /`", "---"))
    texts = [scene.gdb.output for scene in scenes]
    texts += [lab.machine.console_log] if lab.booted else []
    (LOGS / name).write_text("\n\n".join((*texts, why)) + "\n")
    return LOGS / name
