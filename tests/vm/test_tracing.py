# SPDX-License-Identifier: GPL-2.0-or-later
"""Tracing a booted kernel over both stubs: no hit lost, none invented, nothing left behind."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qemu.console import PROMPT
from qemu.guest import image
from qemu.kernels import Kernel
from qemu.vm import Machine
from tests.vm.gdbrun import GdbRun, events
from tests.vm.oracle import LEGACY, WIDE, features, runnable, switching, xsave_format

BOOT = 120.0
GUEST = 400.0  # seconds for the guest programs to end while every signal of theirs stops the kernel
SAVE = "copy_fpstate_to_sigframe"
EVIL = r"evil\x1b[31m\x07\x0a\xff\xfe"

# Programs and how many signals each takes; they add up to more than 1,000.
SIGNALS = {
    "ymmall": 170,
    "x87calc": 120,
    "mmxplay": 120,
    "audiod": 120,
    "avxthreads": 60,
    "intonly": 120,
    "ia32sig": 100,
    "evilname": 80,
    "forkexec": 40,
    "coredump": 20,
}
ROUNDS = 6  # of ptracer


@dataclass(frozen=True)
class Cleaning:
    """The function that cleans initial components, and its calls by the guest programs."""

    function: str
    ptracer: int
    coredump: int


def cleaning(symbols: Mapping[str, int]) -> Cleaning:
    """Return what the kernel has; the calls are those of arch/x86/kernel/fpu/regset.c.

    A round of ptracer is GETFPREGS, SETFPREGS, and GETREGSET and SETREGSET of both notes; a core
    dump has the notes NT_PRFPREG and NT_X86_XSTATE.
    """
    if "copy_xstate_to_uabi_buf" in symbols:  # 5.14: only what goes out is cleaned
        return Cleaning("copy_xstate_to_uabi_buf", 3 * ROUNDS, 2)
    if "fpu_user_xstate_size" in symbols:  # 4.8: xstateregs_get cleans, too
        return Cleaning("fpstate_sanitize_xstate", 5 * ROUNDS, 2)
    return Cleaning("fpstate_sanitize_xstate", 4 * ROUNDS, 1)


@pytest.fixture
def guest(kernel: Kernel, model: str) -> Iterator[Machine]:
    """The kernel on the model of `make demo`."""
    yield from booted(kernel, model)


@pytest.fixture
def each(kernel: Kernel, model: str, cpu: str) -> Iterator[Machine]:
    """The kernel on each of the models; on that of `make demo` its CPUs run at the same time."""
    yield from booted(kernel, cpu, parallel=cpu == model)


@pytest.fixture
def racing(kernel: Kernel, model: str) -> Iterator[Machine]:
    """The kernel on the model of `make demo`, its CPUs at the same time."""
    yield from booted(kernel, model, parallel=True)


def booted(kernel: Kernel, cpu: str, **options: bool) -> Iterator[Machine]:
    with Machine(kernel.bzimage, image.test_image(), cpu=cpu, **options) as machine:
        machine.boot(PROMPT, BOOT)
        yield machine


def run_programs(machine: Machine) -> dict[str, list[str]]:
    """Run every program that the CPU runs at once; return the announced lines by program."""
    names = runnable([*SIGNALS, "ptracer"], features(machine))
    arguments = {name: f"{count} 4" for name, count in SIGNALS.items()}
    arguments |= {"ptracer": f"{ROUNDS} 1", LEGACY: arguments[WIDE]}
    starts = " ".join(f"{name} {arguments[name]} &" for name in names)
    output = machine.run(f"{starts} wait", GUEST)
    lines = [line for line in output.splitlines() if line.startswith("guest: ")]
    assert all(line.endswith(" ok") for line in lines), lines
    announced: dict[str, list[str]] = {}
    for line in lines:
        announced.setdefault(line.split()[1], []).append(line)
    assert announced.keys() == set(names)
    return announced


def announced_signals(announced: dict[str, list[str]], *, lazy: bool) -> dict[int, int]:
    """Return the signals by pid for which the state is saved, of tasks that have a line.

    Under lazy switching a task that never used the FPU has no state to save.
    """
    counts = {}
    for name, lines in announced.items():
        if name not in ("ptracer", "forkexec"):
            for line in lines:
                pid, count = re.findall(r"(?:pid|signals)=(\d+)", line)
                counts[int(pid)] = 0 if lazy and name == "intonly" else int(count)
    return counts


def check_counts(
    hits: list[dict[str, Any]],
    announced: dict[str, list[str]],
    cleans: Cleaning,
    *,
    lazy: bool,
) -> None:
    saves = [hit for hit in hits if hit["function"] == SAVE]
    by_pid = Counter(hit["pid"] for hit in saves)
    wanted = announced_signals(announced, lazy=lazy)
    assert {pid: by_pid[pid] for pid in wanted} == wanted
    assert len(saves) >= sum(SIGNALS[name] for name in announced if name in SIGNALS) / 2
    generations = Counter(hit["comm"] for hit in saves if hit["pid"] not in wanted)
    assert generations["forkexec"] == SIGNALS["forkexec"]
    if "ptracer" in announced:
        check_cleaned(hits, announced, cleans, lazy=lazy)


def check_cleaned(
    hits: list[dict[str, Any]],
    announced: dict[str, list[str]],
    cleans: Cleaning,
    *,
    lazy: bool,
) -> None:
    cleaned = Counter(hit["pid"] for hit in hits if hit["function"] == cleans.function)
    (child,) = re.findall(r"child=(\d+)", announced["ptracer"][0])
    assert cleaned[int(child)] == cleans.ptracer
    (dumped,) = re.findall(r"pid=(\d+)", announced["coredump"][0])
    if lazy:  # a signal cleans, too, when it finds the registers not loaded
        assert cleaned[int(dumped)] >= cleans.coredump
    else:
        assert cleaned[int(dumped)] == cleans.coredump


def check_form(
    header: dict[str, Any], hits: list[dict[str, Any]], machine: Machine, release: str, stub: str
) -> None:
    assert header["schema"] == 1
    assert header["stub"] == stub
    assert header["switching"] == switching(machine)
    assert header["xsave_format"] == xsave_format(machine)
    assert header["kernel"].startswith(f"Linux version {release} ")
    assert [hit["seq"] for hit in hits] == list(range(1, len(hits) + 1))
    assert {hit["cpu"] for hit in hits} == {0, 1}
    assert EVIL in {hit["comm"] for hit in hits}


def report_of(output: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(output.read_text())
    return report


def trace_commands(tmp_path: Path) -> list[str]:
    return [
        "source gdbfpu",
        f"fpu-trace on --quiet --out {tmp_path}/events",
        "echo READY\\n",
        "continue",
        f"fpu-report --format json --out {tmp_path}/report",
        "fpu-trace status",
        "fpu-trace off",
        "detach",
    ]


@dataclass(frozen=True)
class Traced:
    """A machine whose programs ran under a trace, and what they announced."""

    machine: Machine
    kernel: Kernel
    cleans: Cleaning
    announced: dict[str, list[str]]


def check_trace(gdb: GdbRun, traced: Traced, tmp_path: Path, stub: str) -> list[dict[str, Any]]:
    output = gdb.finish()
    assert "not recorded" not in output
    for function in (SAVE, traced.cleans.function):  # when it is planted, and in the status
        planted = rf"{function} at 0x\w+, on `[^`]+`, resumed without a step"
        assert len(re.findall(planted, output)) >= 2
    assert "GDB has to step" not in output
    header, hits = events(tmp_path / "events")
    check_form(header, hits, traced.machine, traced.kernel.version, stub)
    lazy = switching(traced.machine) == "lazy"
    check_counts(hits, traced.announced, traced.cleans, lazy=lazy)
    report = report_of(tmp_path / "report")
    assert report["totals"]["hits"] == len(hits)
    users = {task["comm"]: task["uses_fpu"] for task in report["tasks"]}
    for name in traced.announced.keys() - {"intonly", "ptracer", "forkexec"}:
        assert users[EVIL if name == "evilname" else name] is True, name
    if lazy and "intonly" not in users:  # it has ended, and had not a single hit
        assert "intonly" not in {hit["comm"] for hit in hits}
    else:
        assert users["intonly"] is False
    return hits


def test_kgdb_trace_has_every_hit(
    each: Machine, kernel: Kernel, symbols: dict[str, int], tmp_path: Path
) -> None:
    each.break_in()
    commands = trace_commands(tmp_path)
    log = tmp_path / "wire"
    with GdbRun(kernel, each.kgdb, commands, tmp_path, [f"set remotelogfile {log}"]) as gdb:
        gdb.wait_for("READY")
        traced = Traced(each, kernel, cleaning(symbols), run_programs(each))
        each.break_in()
        hits = check_trace(gdb, traced, tmp_path, "kgdb")
    threads = {(hit["thread"], hit["pid"]) for hit in hits if hit["thread"] is not None}
    assert len(dict(threads)) == len(threads) == len({pid for _, pid in threads})
    assert longest_read(log) <= 510
    assert each.run("echo alive", 10.0).split() == ["alive"]
    each.check()


def longest_read(log: Path) -> int:
    """Return the bytes that the longest memory read on the wire asked for."""
    text = log.read_text(errors="replace")
    reads = [int(size, 16) for size in re.findall(r"\$m[0-9a-f]+,([0-9a-f]+)#", text)]
    assert len(reads) > 1000
    return max(reads)


def test_gdbstub_trace_has_every_hit(
    each: Machine, kernel: Kernel, symbols: dict[str, int], tmp_path: Path
) -> None:
    with GdbRun(kernel, each.gdbstub, trace_commands(tmp_path), tmp_path) as gdb:
        gdb.wait_for("READY")
        traced = Traced(each, kernel, cleaning(symbols), run_programs(each))
        gdb.interrupt()
        hits = check_trace(gdb, traced, tmp_path, "qemu")
    assert {hit["thread"] - 1 for hit in hits} == {0, 1}
    assert all(hit["thread"] - 1 == hit["cpu"] for hit in hits)
    assert each.run("echo alive", 10.0).split() == ["alive"]


# GDB's own words on what is current, at the same stop and before gdbfpu reads anything.
ORACLE = """python
import json
from gdbfpu.dbg.breakpoints import ProbeBreakpoint
_task = "kgdb_info[kgdb_active.counter].task"
_has = {field.name for field in gdb.lookup_type("struct fpu").fields()}
_state = "->thread.fpu." + ("fpstate->regs" if "fpstate" in _has else "state")
_ask = {
    "pid": "->pid", "tgid": "->tgid",
    **{name: _state + ".xsave.header." + name for name in ("xfeatures", "xcomp_bv")},
    **{name: _state + ".fxsave." + name for name in ("cwd", "swd", "twd", "mxcsr")},
}
if "fpregs_active" in _has:  # 4.2 to 4.13
    _ask["loaded"] = "->thread.fpu.fpregs_active"
else:  # 5.2: TIF_NEED_FPU_LOAD
    _ask["loaded"] = "->thread_info.flags >> 14 & 1 ^ 1"
_catch = ProbeBreakpoint._catch
def catch(self):
    said = {}
    for key, path in _ask.items():
        said[key] = gdb.execute("print/x " + _task + path, to_string=True).split("= ")[1].strip()
    said["comm"] = gdb.execute("output " + _task + "->comm", to_string=True)
    said["task"] = gdb.execute("print/x " + _task, to_string=True).split("= ")[1].strip()
    said["fpu"] = gdb.execute("print/x &" + _task + "->thread.fpu", to_string=True)
    said["thread"] = gdb.execute("print $_thread", to_string=True).split("= ")[1].strip()
    said["lwp"] = gdb.selected_thread().ptid[1]
    gdb.write("ORACLE " + json.dumps(said) + "\\n")
    return _catch(self)
ProbeBreakpoint._catch = catch
end
"""


def test_hits_are_what_gdb_prints(racing: Machine, kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "oracle.gdb").write_text(ORACLE)
    offsets = {"cwd": (0, 2), "swd": (2, 4), "twd": (4, 6), "mxcsr": (24, 28)}
    racing.run("ymmall 0 20 & x87calc 0 20 & audiod 0 20 & mmxplay 0 20 &", 10.0)
    racing.break_in()
    commands = [
        "source gdbfpu",
        f"source {tmp_path}/oracle.gdb",
        f"fpu-trace on --quiet --state full --limit 50 --out {tmp_path}/events",
        "continue",
        "detach",
    ]
    with GdbRun(kernel, racing.kgdb, commands, tmp_path) as gdb:
        output = gdb.finish()
    said = [json.loads(line[7:]) for line in output.splitlines() if line.startswith("ORACLE ")]
    _, hits = events(tmp_path / "events")
    # Beyond the limit a probe is passed only to let the other CPU out of KGDB.
    assert len(hits) == 50 <= len(said) <= 52
    for hit, gdb_says in zip(hits, said[:50], strict=True):
        for key in ("pid", "tgid"):
            assert hit[key] == int(gdb_says[key], 16)
        assert hit["pid"] == gdb_says["lwp"]
        assert hit["thread"] == int(gdb_says["thread"])
        for key in ("xfeatures", "xcomp_bv", "task"):
            assert hit[key] == gdb_says[key]
        assert hit["fpu"] in gdb_says["fpu"]
        assert gdb_says["comm"].startswith(f'"{hit["comm"]}\\000')
        assert hit["live"] is bool(int(gdb_says["loaded"], 16))
        raw = bytes.fromhex(hit["raw"])
        for key, (start, end) in offsets.items():
            assert int.from_bytes(raw[start:end], "little") == int(gdb_says[key], 16), key
    assert {hit["comm"] for hit in hits} == {"ymmall", "x87calc", "audiod", "mmxplay"}


class Text:
    """The bytes at the beginning of both probed functions, as the guest's memory has them."""

    def __init__(self, machine: Machine, symbols: Mapping[str, int]) -> None:
        self._machine = machine
        self._addresses = [symbols[name] for name in (SAVE, cleaning(symbols).function)]
        self._clean = self.read()

    def read(self) -> list[bytes]:
        return [self._machine.read_memory(address, 48) for address in self._addresses]

    def planted(self) -> int:
        """Return how many bytes differ from what they were; each has to be an int3."""
        changed = [
            new
            for before, after in zip(self._clean, self.read(), strict=True)
            for old, new in zip(before, after, strict=True)
            if old != new
        ]
        assert set(changed) <= {0xCC}
        return len(changed)


@pytest.mark.parametrize("end", ["off", "detach", "quit", "limit"])
def test_no_breakpoint_stays(
    guest: Machine, kernel: Kernel, symbols: dict[str, int], tmp_path: Path, end: str
) -> None:
    text = Text(guest, symbols)
    guest.break_in()
    limit = "--limit 5" if end == "limit" else ""
    commands = ["source gdbfpu", f"fpu-trace on {limit}", "echo READY\\n", "continue"]
    commands += {"off": ["fpu-trace off", "detach"], "detach": ["detach"]}.get(end, [])
    with GdbRun(kernel, guest.kgdb, commands, tmp_path) as gdb:
        gdb.wait_for("READY")
        guest.run("echo running", 20.0)
        assert text.planted() == 2
        if end == "limit":
            guest.console.send("ymmall 20 5\n")
        else:
            guest.break_in()
        gdb.finish()
    assert text.planted() == 0
    if end == "limit":
        guest.wait_console("guest: ymmall .* ok", 20.0)
    else:
        assert "signals=10 ok" in guest.run("ymmall 10 5", 20.0)
    guest.check()


BUSY = "ymmall 0 5 & x87calc 0 5 & audiod 0 5 & mmxplay 0 5 & avxthreads 0 5 & ptracer 9999 1 &"


@pytest.mark.parametrize("end", ["limit", "off", "detach", "quit"])
def test_guest_runs_on_though_both_cpus_were_at_probes(
    racing: Machine, kernel: Kernel, tmp_path: Path, end: str
) -> None:
    """A CPU that waits to report its hit may not be left in KGDB when the probes go."""
    racing.run(BUSY, 10.0)
    ends = {"off": ["fpu-trace off", "detach"], "limit": ["detach"], "detach": ["detach"]}
    for turn in range(4):
        racing.break_in()
        limit = "--limit 25" if end == "limit" else ""
        commands = ["source gdbfpu", f"fpu-trace on {limit} --group signal --group switch"]
        with GdbRun(
            kernel, racing.kgdb, [*commands, "continue", *ends.get(end, [])], tmp_path
        ) as gdb:
            if end != "limit":
                gdb.wait_for(f"{15 + turn}  ")
                racing.break_in()
            gdb.finish()
        assert racing.run("echo alive", 20.0).split() == ["alive"]
        racing.check()


def test_killed_gdb_leaves_nothing_to_the_next(
    guest: Machine, kernel: Kernel, symbols: dict[str, int], tmp_path: Path
) -> None:
    text = Text(guest, symbols)
    guest.break_in()
    commands = ["source gdbfpu", f"fpu-trace on --out {tmp_path}/events", "continue"]
    with GdbRun(kernel, guest.kgdb, commands, tmp_path) as gdb:
        gdb.wait_for("CPU function")
        guest.run("ymmall 10 5", 30.0)
        gdb.process.kill()
        gdb.process.wait(10.0)
    assert text.planted() == 2
    header, hits = events(tmp_path / "events")
    assert header["stub"] == "kgdb"
    assert [hit["seq"] for hit in hits] == list(range(1, len(hits) + 1))
    guest.break_in()
    with GdbRun(kernel, guest.kgdb, ["source gdbfpu", "fpu-trace off"], tmp_path) as second:
        assert "no probe is in the kernel" in second.finish()
    assert text.planted() == 0
    assert "signals=10 ok" in guest.run("ymmall 10 5", 20.0)
    guest.check()


def test_dead_machine_ends_the_trace(
    kernel: Kernel, machine: Callable[..., Machine], tmp_path: Path
) -> None:
    booted = machine(image.test_image())
    booted.break_in()
    commands = ["source gdbfpu", f"fpu-trace on --out {tmp_path}/events", "continue"]
    with GdbRun(kernel, booted.kgdb, commands, tmp_path) as gdb:
        gdb.wait_for("CPU function")
        booted.run("ymmall 10 5", 30.0)
        booted.close()
        gdb.process.wait(20.0)
        assert "the kernel is gone; tracing is off" in gdb.output
        assert "Traceback" not in gdb.output
    _, hits = events(tmp_path / "events")
    saved = [hit for hit in hits if (hit["comm"], hit["function"]) == ("ymmall", SAVE)]
    assert len(saved) == 10
