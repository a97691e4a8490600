# SPDX-License-Identifier: GPL-2.0-or-later
"""`fpu-doctor` in real GDBs, in each state that GDB can be in."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from gdb_harness import NOTES, Compiler, gdb, started, trace
from gdb_terminal import Terminal
from scripted_stub import KERNEL_MODE, ScriptedStub

from gdbfpu.cli import main

CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
DOCTOR = "fpu-doctor --format json"
KVM = {"info kvm": "kvm support: enabled\r\n"}
TCG = {"info kvm": "kvm support: disabled\r\n"}


def rows(part: str) -> dict[str, dict[str, Any]]:
    """Return the findings that the doctor printed as JSON, by check."""
    found = json.loads(part)
    assert {row["verdict"] for row in found["findings"]} <= {
        *("trouble", "limited", "cannot be told", "ok", "not applicable")
    }
    return {row["check"]: row for row in found["findings"]}


def examined(file: Path, stub: ScriptedStub, *before: str) -> dict[str, dict[str, Any]]:
    """Return what the doctor finds in a GDB that is attached to `stub`."""
    with stub:
        commands = (f"file {file}", *before, f"target remote {stub.path}", "source gdbfpu", DOCTOR)
        return rows(gdb(*commands).parts[len(commands) - 1])


# --- the states of GDB


def test_nothing_at_all() -> None:
    found = rows(gdb("source gdbfpu", DOCTOR).parts[1])
    assert found["vmlinux"]["mend"] == ["file PATH/vmlinux"]
    assert found["vmlinux"]["verdict"] == found["architecture"]["verdict"] == "trouble"
    assert found["connection"]["mend"][-1].startswith("gdbfpu doctor --device ")
    told = {check for check, row in found.items() if row["verdict"] == "cannot be told"}
    assert told >= {"connection", "KASLR", "build-id", "types", "KVM", "rodata", "CPU model"}


def test_a_file_and_no_target(kernel44: Path) -> None:
    found = rows(gdb("source gdbfpu", f"file {kernel44}", DOCTOR).parts[2])
    assert found["architecture"]["verdict"] == found["vmlinux"]["verdict"] == "ok"
    assert found["types"]["seen"].endswith("DWARF")
    assert found["connection"]["verdict"] == "cannot be told"


def test_a_stopped_kernel(kernel44: Path) -> None:
    output = trace(kernel44, DOCTOR, "fpu-report", "fpu-doctor")
    found = rows(output.parts[0])
    assert "trouble" not in {row["verdict"] for row in found.values()}
    assert found["connection"]["verdict"] == found["build-id"]["verdict"] == "ok"
    assert "9 of 13 tasks use the FPU" in output.parts[1]
    assert output.parts[2].splitlines()[-1].startswith("14 checks: ")


def test_a_running_kernel(kernel44: Path) -> None:
    run = started(kernel44, "lazy loop 100 200000")
    found = rows(gdb(*run, "continue &", DOCTOR, "shell sleep 0.1").parts[5])
    assert "interrupt it first" in found["connection"]["seen"]
    assert found["architecture"]["verdict"] == "ok"


def test_a_core_file(kernel44: Path, tmp_path: Path) -> None:
    core = tmp_path / "core"
    gdb(f"file {kernel44}", "tbreak ready", "run lazy replay", f"generate-core-file {core}", "kill")
    found = rows(gdb(f"file {kernel44}", f"core-file {core}", "source gdbfpu", DOCTOR).parts[3])
    assert "a memory dump" in found["connection"]["seen"]
    assert found["KVM"]["verdict"] == found["blocklist"]["verdict"] == "not applicable"
    assert "trouble" not in {row["verdict"] for row in found.values()}


def test_a_terminal(terminal: Terminal) -> None:
    """No line is too long; trouble comes first; the verdict has colour."""
    text = terminal("set width 80", "source gdbfpu", "fpu-doctor")
    # GDB 18 writes the same colours by other escapes.
    assert re.match(r"\x1b\[31[;\d]*mtrouble\x1b\[[;\d]*m {9}architecture: ", text)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80


def test_wrong_options() -> None:
    assert "unrecognized arguments" in gdb("source gdbfpu", "fpu-doctor --baud 9600").parts[1]


# --- the wrong file


def test_i386(tmp_path: Path) -> None:
    source, program = tmp_path / "i386.c", tmp_path / "i386"
    source.write_text('void _start(void) { for (;;) __asm__ volatile("pause"); }\n')
    flags = ["-m32", "-g", "-nostdlib", "-ffreestanding", "-static", "-fno-pie", "-no-pie"]
    subprocess.run(["gcc", *flags, "-o", program, source], check=True, timeout=60)
    found = rows(gdb(f"file {program}", "tbreak _start", "run", "source gdbfpu", DOCTOR).parts[4])
    assert found["architecture"]["verdict"] == "trouble"
    assert found["architecture"]["mend"][:2] == ["disconnect", "set architecture i386:x86-64"]
    assert found["vmlinux"]["verdict"] == "trouble"


def test_no_types(kernel44: Path, tmp_path: Path) -> None:
    stripped = tmp_path / "stripped"
    subprocess.run(["strip", "-g", "-o", stripped, kernel44], check=True, timeout=30)
    found = rows(trace(stripped, DOCTOR).parts[0])
    assert found["types"]["verdict"] == "trouble"
    assert "has neither DWARF nor BTF" in found["types"]["seen"]
    assert "CONFIG_DEBUG_INFO_BTF=y" in found["types"]["mend"]
    named = any("4.4.60" in line for line in found["types"]["mend"])
    assert named == Path("/etc/debian_version").exists()


def test_another_kernel(compiler: Compiler, tmp_path: Path) -> None:
    script = tmp_path / "notes.ld"
    script.write_text(NOTES)
    ids = ("0123456789abcdef0123456789abcdef01234567", "76543210fedcba9876543210fedcba9876543210")
    one, two = (compiler(f"-Wl,-T,{script}", f"-Wl,--build-id=0x{i}") for i in ids)
    output = trace(one, f"file {two}", DOCTOR, f"file {one}", DOCTOR)
    found = rows(output.parts[1])
    assert found["build-id"]["verdict"] == "trouble"
    assert ids[0] in found["build-id"]["seen"] and ids[1] in found["build-id"]["seen"]
    assert found["build-id"]["mend"][0] == f"debuginfod-find debuginfo {ids[0]}"
    assert found["KASLR"]["verdict"] == found["CPU model"]["verdict"] == "cannot be told"
    assert found["types"]["verdict"] == "ok"  # those of the file
    assert rows(output.parts[3])["build-id"]["verdict"] == "ok"


# --- QEMU's gdbstub, by a script


def test_kvm(kernel44: Path, tmp_path: Path) -> None:
    """Once the kernel is mapped, breakpoints hold; before, they are lost."""
    for mapped, verdict in ((True, "ok"), (False, "trouble")):
        stub = ScriptedStub(kernel44, tmp_path / f"stub{mapped}", monitor=KVM, mapped=mapped)
        found = examined(kernel44, stub)
        assert found["KVM"]["verdict"] == verdict, found["KVM"]
        assert "QEMU uses KVM" in found["KVM"]["seen"]
    assert found["KVM"]["mend"][0] == "hbreak start_kernel"
    assert found["KASLR"]["verdict"] == "cannot be told"


@pytest.mark.parametrize(
    ("monitor", "verdict"),
    [(TCG, "ok"), ({"info kvm": "unknown\r\n"}, "cannot be told"), ({}, "cannot be told")],
)
def test_without_kvm(kernel44: Path, tmp_path: Path, monitor: dict[str, str], verdict: str) -> None:
    found = examined(kernel44, ScriptedStub(kernel44, tmp_path / "stub", monitor=monitor))
    assert found["KVM"]["verdict"] == verdict
    emulated = "QEMU emulates" in found["CPU model"]["seen"]
    assert emulated == (monitor is TCG)


def test_user_mode(kernel44: Path, tmp_path: Path) -> None:
    """With page table isolation, a CPU in user mode shows nothing of the kernel."""
    registers = {**KERNEL_MODE, "cs": 0x33}
    stub = ScriptedStub(kernel44, tmp_path / "stub", registers, TCG, mapped=False)
    found = examined(kernel44, stub)
    assert found["KASLR"]["verdict"] == "cannot be told"
    assert "stopped in user mode" in found["KASLR"]["seen"]
    assert found["KASLR"]["mend"][0] == "continue"


def test_16_bit_mode(kernel44: Path, tmp_path: Path) -> None:
    registers = {"cs": 0xF000, "rip": 0xFFF0, "cr0": 0x60000010}
    found = examined(kernel44, ScriptedStub(kernel44, tmp_path / "stub", registers, TCG))
    assert found["CPU mode"]["verdict"] == "trouble"
    assert found["build-id"]["seen"] == "the kernel has not started"


# --- the shell, which runs GDB


def in_shell(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, dict[str, Any]], int]:
    """Return the findings of `gdbfpu doctor`, and its exit status."""
    status = main(["doctor", "--format", "json"])
    return rows(capsys.readouterr().out), status


def test_the_persons_own_gdb(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the finding says to type makes `source gdbfpu` work, and the exit status 0."""
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": CACHE, "XDG_CONFIG_HOME": ""}
    for name, value in home.items():
        monkeypatch.setenv(name, value)
    found, status = in_shell(capsys)
    assert found["GDB"]["verdict"] == found["packages"]["verdict"] == "ok", found
    version = subprocess.run(["gdb", "--version"], capture_output=True, text=True, check=True)
    assert found["GDB"]["seen"].split(", ")[1] in version.stdout.splitlines()[0]
    assert (status, found["source gdbfpu"]["verdict"]) == (1, "trouble")
    program, *words = found["source gdbfpu"]["mend"][0].split()
    assert (program, main(words)) == ("gdbfpu", 0)
    assert "installed in" in capsys.readouterr().out
    found, status = in_shell(capsys)
    assert (status, found["source gdbfpu"]["verdict"]) == (0, "ok")


def test_packages_are_missing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named, with the folders that were searched and the command that installs them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    found, status = in_shell(capsys)
    assert (status, found["packages"]["verdict"]) == (1, "trouble")
    assert "lacks pyelftools and capstone" in found["packages"]["seen"]
    assert f"{tmp_path}/gdbfpu/" in found["packages"]["seen"]
    assert f"-m pip install --target {tmp_path}/gdbfpu/" in found["packages"]["mend"][0]
    assert found["packages"]["mend"][0].endswith(" wcwidth")
    assert found["source gdbfpu"]["verdict"] == "trouble"
