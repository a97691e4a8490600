# SPDX-License-Identifier: GPL-2.0-or-later
"""Many hits on a machine with four CPUs, while tasks fork, execute and end: none is lost.

What the programs announce is the measure. GDB's memory may grow by what it keeps of each task, a
row and a thread, but not with the hits; the guest's heartbeat must go on.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from qemu.errors import HarnessError
from qemu.kernels import obtain
from tests.torture import checks
from tests.torture.debugger import Debugger
from tests.torture.faults import KERNEL
from tests.torture.lab import Lab
from tests.torture.row import Row
from tests.vm.gdbrun import events

__all__ = ("rows",)

HITS = {"gdbstub": 50_000, "kgdb": 20_000}
CPUS = 4
STORMS = 4  # programs that send themselves signals as fast as they can
FORKED = 100  # one of so many hits is of a task of its own, forked and executed
SLOWEST = 5.0  # hits a second, at which the programs must have ended
BEAT = 100  # ms between two beats
SILENCE = 2000  # ms of the guest's time
GROWTH = 16 << 10  # KiB of GDB's memory, from a tenth of the hits to the end
_SAID = re.compile(r"guest: (\w+) pid=(\d+) .*?signals=(\d+) ok")


def rows(divisor: int, stub: str) -> Iterator[Row]:
    """Trace the programs over `stub`."""
    hits = HITS[stub] // divisor
    failures: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="gdbfpu-") as folder,
        Lab(obtain(KERNEL), stub, Path(folder), load="true", cpus=CPUS) as lab,
    ):
        try:
            failures += _loaded(lab, hits)
        except (AssertionError, HarnessError, OSError) as error:
            failures.append(f"{error or type(error).__name__}".split("\n")[0])
    yield Row(f"hits under load, {stub}", hits, tuple(failures))


def _loaded(lab: Lab, hits: int) -> Iterator[str]:
    """Trace so many hits; yield what is wrong."""
    out = lab.new_file()
    with lab.attach() as gdb:
        gdb.ask(f"fpu-trace on --quiet --out {out}")
        gdb.send("continue")
        began = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            timeout = 60.0 + hits / SLOWEST
            ended = pool.submit(lab.machine.run, _programs(hits), timeout)
            early = _memory_after(hits // 10, out, gdb, ended)
            ended.result()
        seconds, grown = time.monotonic() - began, _memory(gdb) - early
        lab.stop(gdb)
        gdb.ask("fpu-trace off")
        counted = checks.counted(gdb)
        gdb.ask("detach")
        checks.output(gdb.output, ())
        assert gdb.quit() == 0, "GDB did not quit with status 0"
    said = lab.machine.run("cat /tmp/said.*", 20.0)
    checks.file(out, counted, counted)
    yield from _differing(said, out, hits)
    silent = int(re.findall(r"longest_ms=(\d+) ok", said)[0])
    print(
        f"{lab.stub}: {counted} hits in {seconds:.0f} s, {counted / seconds:.0f} a second; GDB's "
        f"memory grew by {grown} KiB from {early}; the heartbeat was silent for {silent} ms at most"
    )
    if grown > GROWTH:
        yield f"GDB's memory grew by {grown} KiB from {early}"
    if silent > SILENCE:
        yield f"the guest's heartbeat was silent for {silent} ms"


def _programs(hits: int) -> str:
    """Return the commands that have as many signals taken; what they say is in files."""
    forked = hits // FORKED
    storm = (hits - forked) // STORMS
    rest = hits - forked - storm * (STORMS - 1)
    counts = (rest, *[storm] * (STORMS - 1))
    storms = " ".join(
        f'sigstorm {count} > /tmp/said.storm{n} & all="$all $!";' for n, count in enumerate(counts)
    )
    return (
        f"heartbeat 0 {BEAT} > /tmp/said.beat & beat=$!; all=; {storms} "
        f"forkexec {forked} 1 > /tmp/said.forked; wait $all; touch /tmp/end; wait $beat"
    )


def _memory_after(hits: int, out: Path, gdb: Debugger, ended: Future[str]) -> int:
    """Return GDB's memory in KiB once there have been so many hits."""
    while checks.hits_in(out) < hits and not ended.done():
        time.sleep(0.5)
    return _memory(gdb)


def _memory(gdb: Debugger) -> int:
    status = Path(f"/proc/{gdb.process.pid}/status").read_text()
    return int(re.findall(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)[0])


def _differing(said: str, out: Path, hits: int) -> Iterator[str]:
    """Yield where the hits differ from what the programs announce."""
    announced = {(name, int(pid)): int(count) for name, pid, count in _SAID.findall(said)}
    total = sum(announced.values())
    if total != hits or len(announced) != STORMS + 1:
        yield f"the programs announce {total} signals of {hits}"
    found = Counter((hit["comm"], hit["pid"]) for hit in events(out)[1])
    for (name, pid), count in announced.items():
        if name == "forkexec":
            traced = sum(n for (comm, _), n in found.items() if comm == name)
        else:
            traced = found[name, pid]
        if traced != count:
            yield f"{name} (pid {pid}) announces {count} signals, {traced} hits were traced"
