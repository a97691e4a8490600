# SPDX-License-Identifier: GPL-2.0-or-later
"""fpu-state, the printers and the functions on a booted kernel, over both stubs.

The other sides of the comparisons: the patterns that the guest programs document, what a ptrace
reader in the guest gets at the same stop, and GDB's own words.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qemu.console import PROMPT
from qemu.guest.image import test_image as guest_image
from qemu.guest.patterns import PATTERNS
from qemu.kernels import Kernel
from qemu.vm import QEMU, Machine
from tests.vm.gdbrun import GdbRun, events
from tests.vm.oracle import answer, enabled, features, runnable, switching

COMMAND = 20.0  # seconds for a command in the guest; it takes less than one
NEVER = 100_000  # milliseconds to the first signal of a program that is to stay asleep

# All that are asleep with a pattern. The children of forkexec never sleep: they are looked at live.
SLEEPERS = (
    "ymmall", "x87calc", "mmxplay", "audiod", "ia32sig", "evilname", "coredump", "avxthreads",
    "ptracer",
)  # fmt: skip
SUSPEND = ("__x64_sys_rt_sigsuspend", "SyS_rt_sigsuspend")  # from 4.17 on, and before
FXSAVE_SIZE = 512
PKRU = 9  # the number of that component
RESTORE = "fpu__restore_sig"
CURRENT = "((struct task_struct *) kgdb_info[kgdb_active.counter].task)->thread.fpu"


@pytest.fixture(scope="module")
def guest(kernel: Kernel, cpu: str) -> Iterator[Machine]:
    with Machine(kernel.bzimage, guest_image(), cpu=cpu) as machine:
        machine.boot(PROMPT, 120.0)
        yield machine


@pytest.fixture(scope="module")
def suspend(symbols: dict[str, int]) -> str:
    """The function that rt_sigsuspend(2) enters."""
    return next(name for name in SUSPEND if name in symbols)


@dataclass(frozen=True)
class Held:
    """The sleeping tasks by name, what ptrace read of them, what fpu-state showed of them."""

    pids: Mapping[str, int]
    notes: Mapping[str, bytes]
    shown: Mapping[str, Mapping[str, Any]]


@pytest.fixture(scope="module")
def held(guest: Machine, kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Held:
    """Let every program fall asleep with its pattern, hold each with ptread, and look from GDB."""
    folder = tmp_path_factory.mktemp("held")
    pids = fall_asleep(guest)
    notes = read_notes(guest, {name: pid for name, pid in pids.items() if name != "ptracer"})
    commands = {name: f"fpu-state {pid} --format json" for name, pid in pids.items()}
    guest.break_in()
    shown = {
        stub: {
            name: json.loads(text)
            for name, text in look(kernel, socket, folder, commands).items()
        }
        for stub, socket in (("kgdb", guest.kgdb), ("qemu", guest.gdbstub))
    }  # fmt: skip
    return Held(pids, notes, shown)


def look(
    kernel: Kernel, socket: Path, folder: Path, commands: Mapping[str, str | Sequence[str]]
) -> dict[str, str]:
    """Return what each of `commands` (one or several, by name) prints in GDB with gdbfpu."""
    asked = ["source gdbfpu"]
    for name, command in commands.items():
        asked.append(f"echo @@{name}@\\n")
        asked += [command] if isinstance(command, str) else command
    with GdbRun(kernel, socket, [*asked, "echo @@end@\\n", "detach"], folder) as gdb:
        parts = gdb.finish().split("@@")[1:]
    said = dict(part.split("@\n", 1) for part in parts)
    return {name: said[name].strip() for name in commands}


def poll(guest: Machine, command: str, wanted: str) -> None:
    """Run `command` in the guest until it prints `wanted`."""
    deadline = time.monotonic() + COMMAND
    while (output := guest.run(command, COMMAND).strip()) != wanted:
        assert time.monotonic() < deadline, f"{command!r} says {output!r}, not {wanted!r}"


def start(guest: Machine, program: str, interval: int) -> int:
    """Start `program` in the guest, without end; return its pid."""
    return int(answer(guest, f"{program} 0 {interval} > /tmp/{program}.out & echo $!", r"(\d+)"))


def fall_asleep(guest: Machine) -> dict[str, int]:
    """Return the pids of those that the CPU runs: threads each, ptracer's child for its own."""
    pids = {name: start(guest, name, NEVER) for name in runnable(SLEEPERS, features(guest))}
    if "avxthreads" in pids:
        leader = pids.pop("avxthreads")
        poll(guest, f"ls /proc/{leader}/task | wc -l", "4")
        threads = guest.run(f"ls /proc/{leader}/task", COMMAND).split()
        pids.update({f"avxthreads/{k}": tid for k, tid in enumerate(sorted(map(int, threads)))})
    if "ptracer" in pids:
        children = f"grep -lE '^PPid:.{pids['ptracer']}$' /proc/[0-9]*/status"
        poll(guest, f"{children} | wc -l", "1")
        pids["ptracer"] = int(answer(guest, children, r"/proc/(\d+)/status"))
    states = " ".join(f"/proc/{pid}/status" for pid in pids.values())
    poll(guest, f"grep -hcE '^State:.[St]' {states} | sort -u", "1")
    return pids


def read_notes(guest: Machine, pids: Mapping[str, int]) -> dict[str, bytes]:
    """Return each task's note as ptread has read it, which holds the task from now on."""
    for pid in pids.values():
        guest.run(f"ptread {pid} > /tmp/note.{pid} &", COMMAND)
    files = " ".join(f"/tmp/note.{pid}" for pid in pids.values())
    poll(guest, f"cat {files} | wc -l", str(len(pids)))
    packed = guest.run(f"cat {files} | gzip | base64", COMMAND)  # the console is slow
    text = gzip.decompress(base64.b64decode(packed)).decode()
    notes = dict(re.findall(r"^guest: ptread pid=(\d+) bytes=([0-9a-f]+)$", text, re.MULTILINE))
    return {name: bytes.fromhex(notes[str(pid)]) for name, pid in pids.items()}


def by_hand(note: bytes) -> dict[str, bytes]:
    """Return the registers of an image, XSAVE's in the standard format or FXSAVE's.

    Source: SDM volume 1, 10.5.1, 13.4, 13.5.
    """
    top = note[3] >> 3 & 7
    found = {"fcw": note[0:2], "fsw": note[2:4], "ftw": note[4:5], "mxcsr": note[24:28]}
    for i in range(8):
        found[f"st{i}"] = note[32 + 16 * i : 42 + 16 * i]
        place = 32 + 16 * ((i - top) % 8)
        found[f"mm{i}"] = note[place : place + 8]
    for i in range(16):
        found[f"xmm{i}"] = note[160 + 16 * i : 176 + 16 * i]
        if len(note) > FXSAVE_SIZE:
            found[f"ymm{i}"] = found[f"xmm{i}"] + note[576 + 16 * i : 592 + 16 * i]
    if int.from_bytes(note[464:472], "little") >> PKRU & 1:  # XCR0, which the kernel puts there
        found["pkru"] = note[2688:2692]
    return found


def registers(shown: Mapping[str, Any]) -> dict[str, bytes]:
    return {name: bytes.fromhex(r["bytes"]) for name, r in shown["registers"].items()}


def check_pattern(program: str, found: Mapping[str, bytes]) -> None:
    """Check every register that `program` documents, and that its other vectors are initial."""
    pattern = PATTERNS[program]
    assert {name: found[name] for name in pattern} == pattern
    for i in range(16):
        low = pattern.get(f"xmm{i}", bytes(16))
        if f"ymm{i}" in found:  # what a CPU has of them is held to ptrace's notes
            assert found[f"ymm{i}"] == pattern.get(f"ymm{i}", low + bytes(16))
        else:
            assert found[f"xmm{i}"] == low
    if "mxcsr" not in pattern:
        assert found["mxcsr"] == bytes.fromhex("801f0000")
    if "fcw" not in pattern:
        assert found["fcw"] == bytes.fromhex("7f03")


@pytest.mark.parametrize("stub", ["kgdb", "qemu"])
def test_state_is_the_documented_pattern(held: Held, stub: str) -> None:
    assert len(held.pids) >= 6
    for name, pid in held.pids.items():
        shown = held.shown[stub][name]
        assert shown["task"]["pid"] == pid
        assert shown["task"]["truth"] == "in memory: the task does not run", name
        assert (shown["task"]["cpu"], shown["task"]["live"]) == (None, False)
        assert shown["defects"] == []
        assert {r["source"] for r in shown["registers"].values()} == {"memory"}
        check_pattern(name, registers(shown))


@pytest.mark.parametrize("stub", ["kgdb", "qemu"])
def test_state_is_what_ptrace_reads(held: Held, stub: str) -> None:
    assert held.notes.keys() == held.pids.keys() - {"ptracer"}  # whose child has a tracer already
    for name, note in held.notes.items():
        wanted, found = by_hand(note), registers(held.shown[stub][name])
        assert {register: found[register] for register in wanted} == wanted, name


def test_notes_have_what_the_kernel_enabled(guest: Machine, held: Held) -> None:
    """So that no register is missing in both of what is compared."""
    mask = enabled(guest)
    for note in held.notes.values():
        assert (len(note) > FXSAVE_SIZE) is bool(mask)
        assert ("pkru" in by_hand(note)) is bool(mask >> PKRU & 1)


def test_ptread_lets_its_task_go_on(guest: Machine) -> None:
    pid = int(answer(guest, "x87calc 3 300 > /tmp/freed & echo $!", r"(\d+)"))
    reader = int(answer(guest, f"ptread {pid} > /tmp/note & echo $!", r"(\d+)"))
    poll(guest, "wc -l < /tmp/note", "1")
    assert guest.run(f"kill {reader}; wait {reader}; echo $?", COMMAND).split()[-1] == "0"
    assert guest.run(f"wait {pid}; cat /tmp/freed", COMMAND).startswith("guest: x87calc")
    assert guest.run("grep -c 'signals=3 ok' /tmp/freed", COMMAND).split() == ["1"]


@dataclass(frozen=True)
class Running:
    """Programs that take a signal every few milliseconds, by their pids."""

    pids: Mapping[str, int]


def values_of(text: str) -> list[str]:
    return re.findall(r"^\$\d+ = (.*)$", text, re.MULTILINE)


@pytest.fixture
def running(guest: Machine) -> Iterator[Running]:
    names = runnable(("x87calc", "audiod", "ymmall", "ia32sig"), features(guest))
    pids = {name: start(guest, name, 40) for name in names}
    yield Running(pids)
    guest.run(f"kill {' '.join(map(str, pids.values()))}; wait {pids['x87calc']}", COMMAND)


def stop_of(function: str, pid: int, *commands: str) -> list[str]:
    """Return the commands that stop where task `pid` enters `function`, and go on to `commands`."""
    return stop_if(function, f"$fpu_task()->pid == {pid}", *commands)


def stop_live(function: str, pid: int, *commands: str) -> list[str]:
    """Stop where the CPU has the task's registers, too: a lazy kernel loads them only when used."""
    return stop_if(function, f"$fpu_task()->pid == {pid} && $fpu_live($fpu_task())", *commands)


def stop_if(function: str, condition: str, *commands: str) -> list[str]:
    return ["delete", f"break *{function} if {condition}", "continue", "echo @\\n", *commands]


def test_live_registers_over_the_gdbstub(
    guest: Machine, kernel: Kernel, running: Running, suspend: str, tmp_path: Path
) -> None:
    """After the signal's return a program's registers are in the CPU, and so is its pattern."""
    asked = ("fpu-state --format json", "info registers float", "print/x $mxcsr",
             *(f"print/x $xmm{i}.v2_int64" for i in range(16)))  # fmt: skip
    said = look(kernel, guest.gdbstub, tmp_path, {
        name: stop_live(suspend, pid, *asked)
        for name, pid in running.pids.items() if name != "ia32sig"
    })  # fmt: skip
    for name, text in said.items():
        answer, rest = text.split("@\n", 1)[1].split("\n", 1)
        shown = json.loads(answer)
        assert shown["task"]["pid"] == running.pids[name]
        widest = "YMM" if "ymm0" in shown["registers"] else "XMM"
        said = f"live in CPU {shown['task']['cpu']}: x87, {widest} and MXCSR come from the CPU"
        assert shown["task"]["truth"].startswith(said)
        found = registers(shown)
        check_live(shown, found, rest)
        check_pattern(name, found)


def test_traced_registers_over_the_gdbstub(guest: Machine, kernel: Kernel, tmp_path: Path) -> None:
    """A program whose memory has its handler's registers: those of the CPU are beside them."""
    pid = start(guest, "between", 10)
    trace = f"fpu-trace on --state full --pid {pid} --limit 20 --out {tmp_path / 'trace'}"
    look(kernel, guest.gdbstub, tmp_path, {"trace": [trace, "continue"]})
    guest.run(f"kill {pid}; wait {pid}", COMMAND)
    hits = [hit for hit in events(tmp_path / "trace")[1] if hit["live"]]
    assert hits
    for hit in hits:
        found = {name: bytes.fromhex(value) for name, value in hit["registers"].items()}
        width = 32 if "ymm0" in found else 16
        for i in range(16):
            low = bytes([0xC0 | i] * 16) if i < 8 else bytes(16)
            assert found[f"{'y' if width == 32 else 'x'}mm{i}"] == low.ljust(width, b"\0")
        assert (found["ftw"], found["mxcsr"]) == (b"\0", b"\x80\x1f\0\0")
        shown = subprocess.run(
            [sys.executable, "-m", "gdbfpu", "show", tmp_path / "trace", "--hit", str(hit["seq"])],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert re.search(r"^xmm7 .* (c7){16} +CPU$", shown, re.MULTILINE), shown


def test_forked_child_over_the_gdbstub(guest: Machine, kernel: Kernel, tmp_path: Path) -> None:
    """A child of forkexec lives too short to be caught asleep: its pattern is there at its end."""
    pid = start(guest, "forkexec", 50)
    commands = ['break *do_group_exit if $_streq($fpu_task()->comm, "forkexec")', "continue"]
    commands += ["echo @\\n", "fpu-state --format json"]
    said = look(kernel, guest.gdbstub, tmp_path, {"child": commands})["child"]
    guest.run(f"kill {pid}; wait {pid}", COMMAND)
    shown = json.loads(said.split("@\n", 1)[1])
    assert (shown["task"]["comm"], shown["task"]["live"]) == ("forkexec", True)
    assert shown["task"]["pid"] > pid
    check_pattern("forkexec", registers(shown))


def check_live(shown: Mapping[str, Any], found: Mapping[str, bytes], gdb_says: str) -> None:
    """Check each register that is marked as the CPU's against GDB's own print of it."""
    sources = {name: register["source"] for name, register in shown["registers"].items()}
    vectors = re.findall(r"= \{(0x\w+), (0x\w+)\}", gdb_says)
    assert len(vectors) == 16
    for i, halves in enumerate(vectors):
        assert sources[f"xmm{i}"] == "CPU"
        assert sources.get(f"ymm{i}", "CPU") == "CPU"
        assert found[f"xmm{i}"] == b"".join(int(h, 16).to_bytes(8, "little") for h in halves)
    stack = re.findall(r"^st(\d) .*raw 0x(\w+)\)", gdb_says, re.MULTILINE)
    assert len(stack) == 8
    for i, raw in stack:
        name = f"st{(int(i) - gdb_offset(gdb_says)) % 8}"
        assert (sources[name], sources[f"mm{i}"]) == ("CPU", "CPU")
        assert found[name] == int(raw, 16).to_bytes(10, "little")
    assert sources["ftw"] == "CPU"  # GDB gets no tags: the pattern has them
    words = {"fcw": "fctrl", "fsw": "fstat"}
    for name, register in words.items():
        (word,) = re.findall(rf"^{register} +(0x\w+)", gdb_says, re.MULTILINE)
        assert (sources[name], found[name]) == ("CPU", int(word, 16).to_bytes(2, "little"))
    rest = {"fop", "fip", "fdp", "mxcsr_mask", "pkru"} & sources.keys()
    assert {sources[name] for name in rest} == {"memory"}


def gdb_offset(gdb_says: str) -> int:
    """Return which physical register GDB calls st0: up to QEMU 7.2 number 0, whatever TOP is."""
    version = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=True)
    if int(re.findall(r"version (\d+)\.", version.stdout)[0]) >= 8:
        return 0
    (word,) = re.findall(r"^fstat +(0x\w+)", gdb_says, re.MULTILINE)
    return int(word, 16) >> 11 & 7


def test_signal_frames_over_the_gdbstub(
    guest: Machine, kernel: Kernel, running: Running, tmp_path: Path
) -> None:
    said = look(kernel, guest.gdbstub, tmp_path, {
        name: stop_of(RESTORE, pid, "fpu-state --sigframe --format json")
        for name, pid in running.pids.items()
    })  # fmt: skip
    for name, text in said.items():
        shown = json.loads(text.split("@\n", 1)[1])
        assert (shown["format"], shown["defects"]) == ("sigframe", [])
        assert shown["frame"]["ia32"] is (name == "ia32sig")
        found = registers(shown)
        if name == "ia32sig":  # an FSAVE image has the full tag word: physical 6 and 7 are valid
            assert found["ftw"] == bytes.fromhex("ff0f")
            found["ftw"] = PATTERNS[name]["ftw"]
        check_pattern(name, found)


def test_condition_on_a_register(
    guest: Machine, kernel: Kernel, running: Running, tmp_path: Path
) -> None:
    """Only audiod has this MXCSR: all others are seen, and pass the breakpoint."""
    condition = '$tested++ >= 0 && $fpu_reg($fpu_task(), "mxcsr") == 0xffc0'
    commands = ["set $tested = 0", f"break copy_fpstate_to_sigframe if {condition}"]
    commands += ["continue", "print $fpu_task()->pid"] * 5
    commands += ['print/x $fpu_reg($fpu_task(), "xmm7")']
    output = look(kernel, guest.gdbstub, tmp_path, {"all": [*commands, "print $tested"]})["all"]
    *stopped, xmm7, tested = values_of(output)
    assert stopped == [str(running.pids["audiod"])] * 5
    assert xmm7 == "{0x400921fb54442d11, 0xfe37e43c8800759c}"  # 3.14159265358979, -1e300
    assert int(tested) >= 8


def test_functions_over_the_gdbstub(
    guest: Machine, kernel: Kernel, running: Running, suspend: str, tmp_path: Path
) -> None:
    pid = running.pids["x87calc"]
    task = "$fpu_task()"
    output = look(kernel, guest.gdbstub, tmp_path, {"all": stop_live(
        suspend, pid, f"print {task}->pid", f"print {task}->comm", f"print $fpu_live({task})",
        f"print/x $fpu_xfeatures({task})",
        "print/x $fpu_task()->thread.fpu.state.xsave.header.xfeatures",
        f'print/x $fpu_reg({task}, "fcw")', f'print $fpu_reg({task}, "st3")',
        f'print/x $fpu_reg({task}, "pkru")', f'print $fpu_reg({task}, "ymm99")',
    )})["all"]  # fmt: skip
    values = values_of(output)
    assert values[0] == str(pid)
    assert values[1].startswith('"x87calc\\000')
    assert values[2] == "1"
    assert values[5:7] == ["0xb7f", "1.5"]
    mask = enabled(guest)
    if mask:
        assert values[3] == values[4]
        # Memory has no component yet where a lazy kernel made it after the last switch.
        assert values[4] != "0x0" or switching(guest) == "lazy"
    if mask >> PKRU & 1:
        assert values[7:] == ["0x0"]
    else:
        assert "$fpu_reg: the image has no register 'pkru'" in output
    assert "$fpu_reg: the image has no register 'ymm99'" in output


@pytest.fixture(scope="module")
def over_kgdb(
    guest: Machine, kernel: Kernel, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Return what GDB says over KGDB where a running program returns from its signal handler."""
    pid = start(guest, "x87calc", 300)
    guest.break_in()
    questions = {
        "bare": ["tbreak *fpu__restore_sig", "continue", "echo @\\n", f"print {CURRENT}",
                 f"print {CURRENT}.state.xsave.header"],
        "load": "source gdbfpu",
        "printed": [f"print {CURRENT}", f"print {CURRENT}.state.xsave.header"],
        "raw": [f"print/r {CURRENT}", f"print/r {CURRENT}.state.xsave.header"],
        "features": f"print/x {CURRENT}.state.xsave.header.xfeatures",
        "state": "fpu-state --format json",
        "frame": "fpu-state --sigframe --format json",
        "pid": "print $fpu_task()->pid",
        "reg": 'print/x $fpu_reg($fpu_task(), "fcw")',
    }  # fmt: skip
    commands = []
    for name, asked in questions.items():
        commands += [f"echo @@{name}@\\n", *([asked] if isinstance(asked, str) else asked)]
    commands += ["echo @@end@\\n", "detach"]
    with GdbRun(kernel, guest.kgdb, commands, tmp_path_factory.mktemp("kgdb")) as gdb:
        said = dict(part.split("@\n", 1) for part in gdb.finish().split("@@")[1:])
    guest.run(f"kill {pid}; wait {pid}", COMMAND)
    return {**said, "started": str(pid)}


LIVE = r"live in CPU [01], which this stub does not show: these are the last saved values"
GIVEN_UP = "nowhere: .*"


def test_running_task_over_kgdb(guest: Machine, over_kgdb: dict[str, str]) -> None:
    shown = json.loads(over_kgdb["state"])
    assert shown["task"]["pid"] == int(over_kgdb["started"])
    # A lazily switching kernel gives the state up when a handler begins: the frame has it.
    lazy = switching(guest) == "lazy"
    assert shown["task"]["live"] is not lazy
    assert re.fullmatch(GIVEN_UP if lazy else LIVE, shown["task"]["truth"])
    assert {r["source"] for r in shown["registers"].values()} == {"memory"}
    # KGDB of 5.8 on refuses user memory: this came through the task's page tables.
    frame = json.loads(over_kgdb["frame"])
    assert (frame["format"], frame["defects"]) == ("sigframe", [])
    assert frame["registers"]["fcw"]["bytes"] == "7f0b"
    assert frame["registers"]["st4"]["bytes"] == "35c26821a2da0fc90040"
    assert values_of(over_kgdb["pid"]) == [over_kgdb["started"]]
    assert values_of(over_kgdb["reg"]) == ["0xb7f"]


def test_printers_over_kgdb(guest: Machine, over_kgdb: dict[str, str]) -> None:
    bare, printed = values_of(over_kgdb["bare"]), values_of(over_kgdb["printed"])
    (features,) = values_of(over_kgdb["features"])
    assert len(bare) == 2
    assert values_of(over_kgdb["raw"]) == bare
    assert "state = {fsave = {cwd = " in bare[0]
    assert "; cwd 0xb7f, swd 0x1804, twd 0xf8" in printed[0]
    if enabled(guest):  # else there is no header behind the image
        names = names_of(int(features, 16))
        assert printed[1] == f"{names} ({features}), standard"
        assert f"state = {names} ({features}), standard; " in printed[0]
    assert printed[0].startswith("{last_cpu = ")
    assert len(printed[0]) < 300 < len(bare[0])


def names_of(features: int) -> str:
    names = {0: "x87", 1: "SSE", 2: "AVX", 3: "BNDREGS", 4: "BNDCSR", 9: "PKRU"}
    return "|".join(name for bit, name in names.items() if features >> bit & 1)


def test_nothing_went_wrong(guest: Machine) -> None:
    guest.check()
    assert guest.run("echo alive", COMMAND).split() == ["alive"]
