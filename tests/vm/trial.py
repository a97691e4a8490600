# SPDX-License-Identifier: GPL-2.0-or-later
"""One kernel over one stub: run the guest programs under a trace, and judge what gdbfpu says.

The other side of each comparison is what the programs announce, and the pattern one sleeps with.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qemu.console import PROMPT
from qemu.guest.answers import ANSWERS, subject_of
from qemu.guest.image import test_image
from qemu.guest.patterns import PATTERNS
from qemu.kernels import Kernel
from qemu.vm import Machine
from tests.vm.gdbrun import GdbRun, events
from tests.vm.oracle import LEGACY, WIDE, features, pid_of, runnable, switching

SAVE = "copy_fpstate_to_sigframe"
SIGNALS = 25  # for each program or thread; a trace takes 30 to 60 hits a second
PROGRAMS = (
    "ymmall", "x87calc", "mmxplay", "audiod", "avxthreads", "intonly", "ia32sig", "evilname",
    "coredump", "forkexec", "between", "inhandler", "longago", "zeros", "mxcsronly", "onereg",
    "vforkexec", "onesignal", "ptracer",
)  # fmt: skip
BOOT = 120.0  # seconds
GDB = 120.0  # seconds for GDB to read a vmlinux of 600 MB and plant the probes; it takes about ten
GUEST = 600.0  # seconds for the programs to end while every signal stops the kernel
END = 120.0  # seconds for the report and the state
# What GDB and the commands say when something is wrong; how a probe resumes and how many hits there
# were is no complaint.
COMPLAINT = re.compile(
    r"^(?:fpu-[a-z]+: (?!.*(?: resumed | hits? so far|tracing is on$)).*"
    r"|.*not recorded.*|Error .*)$",
    re.MULTILINE,
)


@dataclass
class Outcome:
    """What worked; a cell is empty where it was not reached, and `problems` has a line for each.

    `answers` counts what the report says of the tasks that announced themselves: `right`, `open`
    of those where `?` is right, too, and `wrong`. `programs` are those that the CPU runs,
    `switching` is the kernel's own word on it. `runs` is how often the programs run in the trace.
    `smp` and `kaslr` are the machine's.
    """

    kernel: Kernel
    cpu: str
    stub: str
    runs: int = 1
    smp: int = 2
    kaslr: bool = False
    programs: list[str] = field(default_factory=lambda: [*PROGRAMS])
    switching: str = "eager"
    boots: str = ""
    layouts: str = ""
    hits: str = ""
    users: str = ""
    answers: Counter[str] = field(default_factory=Counter)
    state: str = ""
    problems: list[str] = field(default_factory=list)


def commands(folder: Path, sleeper: int) -> list[str]:
    return [
        "source gdbfpu",
        f"fpu-trace on --quiet --out {folder}/events",
        "echo READY\\n",
        "continue",
        f"fpu-report --format json --out {folder}/report",
        "echo @@state@\\n",
        f"fpu-state {sleeper} --format json",
        "echo @@end@\\n",
        "fpu-trace off",
        "detach",
    ]


def trial(outcome: Outcome, folder: Path) -> None:
    """Boot the kernel, trace its guest programs over the stub, note in `outcome` what worked."""
    options = {"cpu": outcome.cpu, "smp": outcome.smp, "kaslr": outcome.kaslr}
    with Machine(outcome.kernel.bzimage, test_image(), **options) as machine:
        started = time.monotonic()
        machine.boot(PROMPT, BOOT)
        outcome.boots = f"{time.monotonic() - started:.0f} s"
        outcome.programs = runnable(PROGRAMS, features(machine))
        outcome.switching = switching(machine)
        asleep = wide(outcome.programs)
        sleeper = pid_of(machine, f"{asleep} 0 1000000 > /dev/null")
        announced, output = traced(machine, outcome, commands(folder, sleeper), folder)
        machine.run("echo alive", 20.0)
    outcome.problems += COMPLAINT.findall(output)
    judge(outcome, announced, folder)
    outcome.state = judge_state(outcome, output)


def wide(programs: list[str]) -> str:
    """Return the program that has a pattern in every vector register."""
    return WIDE if WIDE in programs else LEGACY


def traced(
    machine: Machine, outcome: Outcome, asked: list[str], folder: Path
) -> tuple[list[list[str]], str]:
    """Return what the programs announced in each run, and what GDB printed.

    They announce it in files, which are read once GDB has left: the UART loses characters while
    the kernel enters KGDB.
    """
    kernel, stub = outcome.kernel, outcome.stub
    socket = machine.kgdb if stub == "kgdb" else machine.gdbstub
    if stub == "kgdb":
        machine.break_in()
    with GdbRun(kernel, socket, asked, folder) as gdb:
        gdb.wait_for("READY", GDB)
        for number in range(outcome.runs):
            machine.run(f"{starts(outcome.programs, number)} wait", GUEST)
        if stub == "kgdb":
            machine.break_in()
        else:
            gdb.interrupt()
        output = gdb.finish(END)
    said = [machine.run(f"cat /tmp/said.{number}.*", 20.0) for number in range(outcome.runs)]
    return [[n for n in each.splitlines() if n.startswith("guest: ")] for each in said], output


def starts(programs: list[str], number: int) -> str:
    """Return the shell's line that starts the programs' run of this number."""
    arguments = dict.fromkeys(programs, f"{SIGNALS} 4") | {"ptracer": "3 1"}
    return " ".join(f"{name} {arguments[name]} > /tmp/said.{number}.{name} &" for name in programs)


def judge(outcome: Outcome, runs: list[list[str]], folder: Path) -> None:
    for lines in runs:
        names = {line.split()[1] for line in lines if line.endswith(" ok")}
        if missing := set(outcome.programs) - names:
            outcome.problems.append(f"guest programs failed: {', '.join(sorted(missing))}")
    announced = [line for lines in runs for line in lines]
    if not (folder / "events").exists():
        outcome.layouts = outcome.hits = outcome.users = "no"
        outcome.problems.append("no trace was recorded")
        return
    header, hits = events(folder / "events")
    outcome.layouts = f"{header['switching']}, {header['xsave_format']}"
    if header["switching"] != outcome.switching:
        outcome.problems.append(f"the kernel says that it switches {outcome.switching}")
    lazy = outcome.switching == "lazy"
    judge_hits(outcome, announced, hits, lazy=lazy)
    if (folder / "report").exists():
        judge_users(outcome, announced, json.loads((folder / "report").read_text()), lazy=lazy)
    else:
        outcome.users = "no"
        outcome.problems.append("no report was written")


def wanted_hits(announced: list[str], *, lazy: bool) -> dict[str, int]:
    """Return how often each task, by its pid, has its state saved for a signal."""
    wanted = {"forkexec": 0}
    for line in announced:
        _, name, *_ = line.split()
        if name == "ptracer":
            continue
        (pid,) = re.findall(r" pid=(\d+)", line)
        (count,) = re.findall(r"signals=(\d+)", line)
        if name == "forkexec":
            wanted[name] += int(count)
        else:
            never = lazy and ANSWERS[subject_of(line)].lazy != {"yes"}  # it has no state then
            wanted[pid] = 0 if never else int(count)
    return wanted


def judge_hits(
    outcome: Outcome, announced: list[str], hits: list[dict[str, Any]], *, lazy: bool
) -> None:
    wanted = wanted_hits(announced, lazy=lazy)
    saves = [hit for hit in hits if hit["function"] == SAVE]
    found = Counter(str(hit["pid"]) for hit in saves)
    found["forkexec"] = sum(
        hit["comm"] == "forkexec" and str(hit["pid"]) not in wanted for hit in saves
    )
    differing = {key: (found[key], count) for key, count in wanted.items() if found[key] != count}
    total = sum(found[key] for key in wanted)
    outcome.hits = f"{total} of {sum(wanted.values())}"
    if differing:
        told = (f"{key}: {got} of {count}" for key, (got, count) in differing.items())
        outcome.problems.append(f"hits differ from the signals announced: {', '.join(told)}")


def judge_users(
    outcome: Outcome, announced: list[str], report: dict[str, Any], *, lazy: bool
) -> None:
    """Compare what the report says of each task that announced itself with what is right of it."""
    told = {task["pid"]: task for task in report["tasks"]}
    wrong = []
    for pid, subject in subjects(announced).items():
        right = ANSWERS[subject].lazy if lazy else ANSWERS[subject].eager
        answer = {True: "yes", False: "no", None: "?"}[told[pid]["uses_fpu"]] if pid in told else ""
        if answer in right or (not answer and right != {"yes"}):  # never hit, and it has ended
            outcome.answers["open" if answer == "?" else "right"] += 1
            continue
        outcome.answers["wrong"] += 1
        why = told[pid]["why"] if pid in told else "in no row"
        wrong.append(f"{subject} is {answer or 'missing'}: {why}")
    wrong += [
        f"a forkexec is not a user: {task['why']}"
        for task in report["tasks"]
        if task["comm"] == "forkexec" and task["hits"] and task["uses_fpu"] is not True
    ]
    outcome.users = "no" if wrong else "yes"
    outcome.problems += [f"the report is wrong: {one}" for one in wrong]


def subjects(announced: list[str]) -> dict[int, str]:
    """Return who it is by the pid that it announces, of those that ANSWERS tells of."""
    named = {}
    for line in announced:
        pid = re.search(r" pid=(\d+)", line)
        if pid is not None and subject_of(line) in ANSWERS:
            named[int(pid[1])] = subject_of(line)
    return named


def judge_state(outcome: Outcome, output: str) -> str:
    """Compare the sleeping program's registers with its pattern."""
    text = output.partition("@@state@\n")[2].partition("@@end@")[0]
    try:
        registers = json.loads(text)["registers"]
    except (ValueError, KeyError):
        outcome.problems.append("fpu-state showed no registers")
        return "no"
    pattern = PATTERNS[wide(outcome.programs)]
    shown = {name: registers.get(name, {}).get("bytes") for name in pattern}
    if wrong := [name for name, data in pattern.items() if shown[name] != data.hex()]:
        outcome.problems.append(f"fpu-state is wrong about {', '.join(wrong)}")
        return "no"
    return "yes"
