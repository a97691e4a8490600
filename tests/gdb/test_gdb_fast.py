# SPDX-License-Identifier: GPL-2.0-or-later
"""What `fpu-trace on --fast` says where no kernel can be diverted, and the symbols it goes by."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from gdb_harness import DEADLINE, WORKS, Output, gdb, hit_lines, probe_breakpoints, started, trace

REFUSED = {  # the options, and what the one line has to say
    "--rows 64": "--rows and --lossy are for --fast",
    "--lossy": "--rows and --lossy are for --fast",
    "--fast rig": "there is no 'rig': did you mean `ring`?",
    "--fast --state full": "--state full does not go with --fast",
    "--fast --audit": "--audit does not go with --fast",
    "--fast ring --backtrace 3": "use --backtrace 1",
    "--fast --if 1": "use --pid or --comm",
    "--fast --stop": "--stop does not go with --fast",
    "--fast --step": "--step does not go with --fast",
    "--fast auto --top": "use fpu-report",
    "--fast --out nowhere": "use --fast ring",
    "--fast --lossy": "--lossy is for --fast ring",
    "--fast ring --lossy --limit 3": "without a --limit",
    "--fast --rows 17": "give a power of two from 16 to 1048576",
    "--fast --rows -1": "'-1' is not a number of at least 0",
    "--fast ring --rows": "expected one argument",
}


def _one_line(part: str, *words: str) -> None:
    assert part.startswith("fpu-trace: "), part
    assert "\n" not in part
    for word in words:
        assert word in part


def test_options_that_are_refused(kernel44: Path, tmp_path: Path) -> None:
    """Before anything is looked at: nothing is traced, no file is begun."""
    typed = [f"fpu-trace on {options}" for options in REFUSED]
    before = (f"cd {tmp_path}", *started(kernel44))
    output = gdb(*before, *typed, "fpu-trace status")
    parts = output.parts[len(before) :]
    for part, words in zip(parts, REFUSED.values()):
        _one_line(part, words)
    assert parts[len(REFUSED)] == WORKS
    assert list(tmp_path.iterdir()) == []


def test_defaults_of_other_traces_are_refused_too(kernel44: Path) -> None:
    output = trace(
        kernel44, "with fpu state full -- fpu-trace on --fast",
        "with fpu backtrace 8 -- fpu-trace on --fast",
        "with fpu limit 5 -- fpu-trace on --fast ring --lossy",
    )  # fmt: skip
    for part, words in zip(output.parts, ("--state header", "--backtrace 1", "--limit")):
        _one_line(part, words)


@pytest.fixture(scope="module")
def core(kernel44: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A core file of the imitated kernel, stopped at a delivery."""
    path = tmp_path_factory.mktemp("core") / "core"
    gdb(*started(kernel44), f"generate-core-file {path}", "kill")
    return path


WAYS = ("--fast", "--fast ring", "--fast auto")


def test_a_dump(kernel44: Path, core: Path, tmp_path: Path) -> None:
    commands = [f"fpu-trace on {way}" for way in WAYS]
    output = gdb(
        f"file {kernel44}", f"core-file {core}", "source gdbfpu", *commands, "fpu-trace off",
        "fpu-trace status", env={"XDG_STATE_HOME": str(tmp_path)},
    )  # fmt: skip
    for part in output.parts[3:6]:
        _one_line(part, "there is nothing to trace: this is a memory dump")
    assert output.parts[6] == "fpu-trace: tracing is off; no probe is in the kernel"
    assert output.parts[7] == WORKS


def test_no_kernel(kernel44: Path, tmp_path: Path) -> None:
    commands = [f"fpu-trace on {way}" for way in WAYS]
    output = gdb(
        "source gdbfpu", *commands, f"file {kernel44}", *commands, "fpu-trace off",
        env={"XDG_STATE_HOME": str(tmp_path)},
    )  # fmt: skip
    for part in (*output.parts[1:4], *output.parts[5:8]):
        _one_line(part, "no kernel to look at: attach first")
    assert output.parts[8] == "fpu-trace: tracing is off; no probe is in the kernel"


def test_a_kernel_that_runs(kernel44: Path) -> None:
    output = gdb(
        *started(kernel44, "lazy loop 100 200000"), "continue &", "fpu-trace on --fast",
        "shell sleep 0.1",
    )  # fmt: skip
    _one_line(output.parts[5], "the kernel is running: interrupt it first (^C)")


def test_a_kernel_that_cannot_be_diverted(kernel44: Path, tmp_path: Path) -> None:
    """What is missing is named, and everything is as it was; `auto` stops at each hit instead."""
    out = tmp_path / "events"
    before = started(kernel44)
    output = gdb(
        *before, f"fpu-trace on --fast ring --out {out}", "maint info breakpoints",
        "show remote memory-read-packet-size", "fpu-trace off", "fpu-trace on --fast auto",
        "continue",
        env={"XDG_STATE_HOME": str(tmp_path / "state")},
    )  # fmt: skip
    said, listing, size, off, auto, hits = output.parts[len(before) :][:6]
    _one_line(said, "the kernel has no symbol 'cpu_number'")
    assert probe_breakpoints(listing) == []
    assert size == gdb("show remote memory-read-packet-size").parts[0]
    assert off == "fpu-trace: tracing is off; no probe is in the kernel"
    assert list(tmp_path.iterdir()) == []
    first, second, *_ = auto.splitlines()
    assert first == f"{said}; so the kernel stops at each hit"
    assert "resumed without a step" in second
    assert len(hit_lines(hits)) == 24
    assert "wrong=0" in hits


def _journal(folder: Path, text: str) -> Path:
    journals = folder / "gdbfpu"
    journals.mkdir(exist_ok=True)
    path = journals / "fast-test.journal"
    path.write_text(text)
    return path


def test_journals(kernel44: Path, tmp_path: Path) -> None:
    """A damaged one is named; one of an earlier boot, whose places are not mapped, is passed by."""
    entry = ["copy_fpstate_to_sigframe", 0xFFFFFFFF81000000, "0f1f440000", "e900000000"]
    data = {"build_id": "", "base": 0xFFFFFFFFC0000000, "code_pages": 1, "entries": [entry]}
    environment = {"XDG_STATE_HOME": str(tmp_path)}

    def off(text: str) -> str:
        _journal(tmp_path, text)
        before = started(kernel44)
        return gdb(*before, "fpu-trace off", env=environment).parts[len(before)]

    path = tmp_path / "gdbfpu" / "fast-test.journal"
    _one_line(off(json.dumps(data)[:-2]), f"{path} is not a journal of a fast trace: remove it")
    assert off(json.dumps(data)) == "fpu-trace: tracing is off; no probe is in the kernel"
    assert path.exists()


# --- help and completion


def _words(output: Output, number: int) -> list[str]:
    return [line.split()[-1] for line in output.parts[number].splitlines()]


def test_completion() -> None:
    typed = ("--fa", "--fast ", "--fast r", "--fast ring --l", "--rows ", "--lossy ")
    output = gdb("source gdbfpu", *(f"complete fpu-trace on {text}" for text in typed))
    assert _words(output, 1) == ["--fast"]
    assert _words(output, 2)[:1] == ["auto"]
    assert {"auto", "ring", "table"} <= set(_words(output, 2))
    assert _words(output, 3) == ["ring"]
    assert _words(output, 4) == ["--limit", "--lossy"]
    assert output.parts[5] == ""


def test_help() -> None:
    text = " ".join(gdb("source gdbfpu", "help fpu-trace on").parts[1].split())
    assert "[--fast [{table,ring,auto}]]" in text
    fast = text.partition(" --fast [{table,ring,auto}] have ")[2].partition(" --rows N with ")[0]
    assert "this writes to the kernel's code" in fast
    assert fast.endswith("(default: table)")
    for words in ("rows the table has (default: 4096)", "hits the ring (default: 65536)"):
        assert words in text


# --- the symbols

ONE = """
int volatile sink;
__attribute__((weak, noinline)) void *hook(int size) { sink = size; return 0; }
__attribute__((noinline)) int other(void) { return ++sink; }
"""
TWO = """
extern int volatile sink;
int other(void);
__attribute__((noinline)) void *hook(int size) { sink += 3 * size; return (void *)&sink; }
int main(void) { for (;;) { hook(1); other(); } }
"""
ADDRESSES = (
    "python from gdbfpu.dbg.target import GdbTarget; target = GdbTarget(); "
    "print(*(target.symbol_address(name) for name in ('hook', 'other', 'sink', 'nowhere')))"
)


def _linked(folder: Path, *objects: str) -> Path:
    """A program of two files, linked in this order; both have the DWARF of a function hook()."""
    for name, text in (("one", ONE), ("two", TWO)):
        (folder / f"{name}.c").write_text(text)
        command = ["gcc", "-g", "-O1", "-fno-pie", "-c", f"{name}.c"]
        subprocess.run(command, cwd=folder, check=True, timeout=DEADLINE)
    command = ["gcc", "-no-pie", *objects, "-o", "program"]
    subprocess.run(command, cwd=folder, check=True, timeout=DEADLINE)
    return folder / "program"


@pytest.mark.parametrize("objects", [("one.o", "two.o"), ("two.o", "one.o")])
def test_a_weak_function_that_another_overrides(tmp_path: Path, objects: tuple[str, ...]) -> None:
    """GDB finds the one in the file where the program stopped, gdbfpu the one that is called."""
    program = _linked(tmp_path, *objects)
    listed = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout
    table = {line.split()[-1]: int(line.split()[0], 16) for line in listed.splitlines()
             if len(line.split()) == 3}  # fmt: skip
    output = gdb(
        f"file {program}", "tbreak other", "run", "output/d (long)&hook", "source gdbfpu", ADDRESSES
    )
    assert int(output.parts[3]) not in table.values()
    hook, other, sink, nowhere = output.parts[5].split()
    assert [int(hook), int(other), int(sink)] == [table["hook"], table["other"], table["sink"]]
    assert nowhere == "None"
