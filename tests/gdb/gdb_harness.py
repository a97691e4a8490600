# SPDX-License-Identifier: GPL-2.0-or-later
"""Compile the programs that imitate Linux 4.4, and run real GDB on them with a deadline."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from qemu.gdbs import STRICT, gdb_program

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
GOLDEN = json.loads((ROOT / "tests/data/linux-4.4.60/hits.json").read_text())
DEADLINE = 60.0  # seconds for one GDB
WORKS = "tracing is off; 0 hits of 0 tasks, 0 filtered out"  # fpu-trace status, at first
EVIL = r"\x1b[31mX\xff\xfe\x07\x0a\\\x09"  # the name in kernel44.c, made fit for a terminal
NOTES = (  # for the linker: a kernel's notes, with the build-id
    "SECTIONS { .notes : { __start_notes = .; KEEP(*(.note.gnu.build-id)) "
    "__stop_notes = .; } } INSERT AFTER .rodata;"
)

_FLAGS = ("-g", "-O1", "-fno-omit-frame-pointer", "-no-pie", "-fno-pie", "-fcf-protection=none",
          "-fno-optimize-sibling-calls", "-Wall", "-Wno-unused-function", "-pthread")  # fmt: skip
_MARK = "@@gdbfpu-test@@"
# A program that GDB let go of writes its line whenever it likes, and GDB one byte at a time.
_AMID = re.compile(r"^([^\n]+?)(guest: [^\n]*\n)", re.MULTILINE)
NEVER = ("Traceback", "Python Exception", "Exception ignored", "internal-error", "\x1b")


@dataclass(frozen=True)
class Compiler:
    """Makes programs in `folder`, each once."""

    folder: Path

    def __call__(self, *flags: str, source: str = "kernel44.c") -> Path:
        """Return the program compiled from `source` with `flags` besides the usual ones."""
        name = f"{source[:-2]}-{abs(hash(flags)):x}"
        program = self.folder / name
        if not program.exists():
            if not any(flag.startswith("-Wl,--build-id") for flag in flags):
                flags = (*flags, "-Wl,--build-id=none")
            self._golden_header()
            command = ["gcc", *_FLAGS, f"-I{self.folder}", *flags, str(HERE / source)]
            subprocess.run([*command, "-o", str(program)], check=True, timeout=DEADLINE)
        return program

    def _golden_header(self) -> None:
        (self.folder / "golden.h").write_text(golden_header())


def golden_header() -> str:
    """Return the golden data as C. The hits in `copy_fpstate_to_sigframe` are the deliveries."""
    deliveries = [h for h in GOLDEN["hits"] if h["function"] == "copy_fpstate_to_sigframe"]
    programs = {h["pid"]: h for h in reversed(deliveries)}  # each with its first state
    lines = [f"#define GOLDEN_{name.upper()} {value}" for name, value in GOLDEN["offsets"].items()]
    lines += [
        f"#define GOLDEN_BANNER {json.dumps(GOLDEN['kernel'].strip())}",
        f"#define GOLDEN_XFEATURES_MASK {GOLDEN['xfeatures_mask']}",
        f"#define GOLDEN_XSTATE_SIZE {GOLDEN['xstate_size']}",
        f"#define GOLDEN_FPU_BYTES {64 + GOLDEN['xstate_size']}",
        f"#define GOLDEN_XSTATE_OFFSETS {_braces(GOLDEN['xstate_offsets'])}",
        f"#define GOLDEN_XSTATE_SIZES {_braces(GOLDEN['xstate_sizes'])}",
        f"#define GOLDEN_DELIVERIES {len(deliveries)}u",
        f"#define GOLDEN_PROGRAMS {len(programs)}u",
        "struct golden { const char *comm; int pid, tgid, cpu;",
        "                unsigned char fpu[GOLDEN_FPU_BYTES]; };",
        _array("golden_deliveries", deliveries),
        _array("golden_programs", [programs[pid] for pid in sorted(programs)]),
    ]
    return "\n".join(lines) + "\n"


def _array(name: str, hits: list[dict]) -> str:
    rows = (
        f'{{"{h["comm"]}", {h["pid"]}, {h["tgid"]}, {h["gdb_thread_num"] - 1}, '
        f"{_braces(bytes.fromhex(h['fpu_bytes']))}}}"
        for h in hits
    )
    return f"static const struct golden {name}[] = {{{', '.join(rows)}}};"


def _braces(values: list[int] | bytes) -> str:
    return "{" + ",".join(f"{value}u" for value in values) + "}"


@dataclass(frozen=True)
class Output:
    """What a GDB wrote: all of it, and apart for each command."""

    text: str
    status: int

    @cached_property
    def parts(self) -> list[str]:
        """Return what each command wrote, in the commands' order, and at last GDB's end."""
        return [part.strip("\n") for part in self.text.split(f"{_MARK}\n")][1:]


def start(
    *commands: str, env: dict[str, str] | None = None, cwd: Path | None = None, init: bool = False
) -> subprocess.Popen[bytes]:
    """Start GDB on `commands`; an error in one does not keep the next from running.

    `init` has it read the user's own init file instead of being told where gdbfpu is.
    """
    marked = []
    for command in commands:
        marked += [f"echo {_MARK}\\n", command]
    marked += [f"echo {_MARK}\\n"]  # what GDB says when it ends stands apart
    return start_plain(marked, env=env, cwd=cwd, init=init)


def start_plain(
    commands: Sequence[str],
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    init: bool = False,
) -> subprocess.Popen[bytes]:
    """Start GDB on `commands` and nothing else; see `start`."""
    first = [] if init else ["-nx", "-iex", f"directory {ROOT / 'scripts'}"]
    argv = [gdb_program(), "-batch", *first, "-iex", "set debuginfod enabled off"]
    argv += ["-iex", "set startup-with-shell off", "-iex", "set confirm off"]
    return subprocess.Popen(
        [*argv, *(word for command in commands for word in ("-ex", command))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(**(env or {})),
        cwd=cwd,
        start_new_session=True,
    )


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a GDB, whose Python takes a warning for an error."""
    return {**os.environ, **STRICT, **more}


def finish(process: subprocess.Popen[bytes]) -> Output:
    """Wait for a GDB to end; fail at the deadline, or for output that must never be."""
    try:
        data, _ = process.communicate(timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        data, _ = process.communicate()
        raise AssertionError(f"GDB did not end in {DEADLINE} s:\n{data!r}") from None
    text = _AMID.sub(r"\2\1", data.decode("utf-8", "backslashreplace"))
    for word in NEVER:
        assert word not in text, text
    return Output(text, process.returncode)


def gdb(
    *commands: str, env: dict[str, str] | None = None, cwd: Path | None = None, init: bool = False
) -> Output:
    """Run GDB on `commands` to its end; the parameters are those of `start`."""
    return finish(start(*commands, env=env, cwd=cwd, init=init))


def started(program: Path, arguments: str = "lazy replay") -> tuple[str, ...]:
    """Return the commands that run `program` up to its first delivery, with gdbfpu loaded."""
    return (f"file {program}", "tbreak ready", f"run {arguments}", "source gdbfpu")


def trace(program: Path, *commands: str, arguments: str = "lazy replay") -> Output:
    """Run `commands` on `program`, started; the parts are those of `commands` only."""
    before = started(program, arguments)
    output = gdb(*before, *commands)
    cut = output.text.split(f"{_MARK}\n")
    return Output(f"{_MARK}\n".join(["", *cut[1 + len(before) :]]), output.status)


@dataclass(frozen=True)
class Expected:
    """A hit as the golden data have it, in the order in which kernel44 replays them."""

    thread: int
    comm: str
    pid: int
    function: str
    golden: dict


def expected_hits() -> list[Expected]:
    """Return the hits of `lazy replay`: each delivery, and the function it calls if not live."""
    hits = []
    for golden in GOLDEN["hits"]:
        if golden["function"] == "copy_fpstate_to_sigframe":
            names = ["copy_fpstate_to_sigframe"]
            if not golden["fpu"]["fpregs_active"]:
                names.append("fpstate_sanitize_xstate")
            hits += [
                Expected(golden["gdb_thread_num"], golden["comm"], golden["pid"], name, golden)
                for name in names
            ]
    return hits


_HIT = re.compile(
    r"^ *(\d+) +(\d+|-) +(\S+) +(\d+) +(\d+) +(copy_fpstate_to_sigframe|fpstate_sanitize_xstate)"
    r" +(\S+) +(live|memory)(?: +(.*))?$",
    re.MULTILINE,
)


def hit_lines(text: str) -> list[tuple[str, ...]]:
    """Return the columns of every hit line in `text`."""
    return [match.groups() for match in _HIT.finditer(text)]


def events(path: Path) -> tuple[dict, list[dict]]:
    """Return the header and the hits of an event file, every line of which must be whole."""
    data = path.read_text(encoding="utf-8")
    assert data.endswith("\n")
    header, *lines = (json.loads(line) for line in data.splitlines())
    hits = [line for line in lines if "use_of" not in line]
    assert [hit["seq"] for hit in hits] == list(range(1, len(hits) + 1))
    return header, hits


def probe_breakpoints(listing: str) -> list[str]:
    """Return the probed functions in which `maint info breakpoints` shows a breakpoint."""
    names = "copy_fpstate_to_sigframe|fpstate_sanitize_xstate|save_xstate_sig|__sanitize_i387_state"
    return re.findall(rf"^-?\d+ +breakpoint .* in ({names}) at", listing, re.MULTILINE)
