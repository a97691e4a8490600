# SPDX-License-Identifier: GPL-2.0-or-later
"""Wrong input gets one clear line and changes nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from gdb_harness import GOLDEN, NOTES, Compiler, gdb, probe_breakpoints, started, trace

BAD = {  # what is typed: what the one line has to say
    "fpu-trace": "on|off|status|clear|probes",
    "fpu-trace bogus": "there is no 'bogus'",
    "fpu-trace on --probe nope": "no probe is called 'nope'; there are: __kernel_fpu_begin, ",
    "fpu-trace on --probe save_xstate_sig": "the kernel has no symbol 'save_xstate_sig'",
    "fpu-trace on --bogus": "unrecognized arguments: --bogus",
    "fpu-trace on --lim 3": "unrecognized arguments: --lim 3",
    "fpu-trace on extra": "unrecognized arguments: extra",
    "fpu-trace on --pid x": "'x'",
    "fpu-trace on --pid -1": "'-1' is not a number of at least 0",
    "fpu-trace on --limit": "expected one argument",
    "fpu-trace on --limit 1.5": "'1.5'",
    "fpu-trace on --backtrace ''": "'' is not a number of at least 0",
    "fpu-trace on --state most": "header",
    "fpu-trace off now": "unrecognized arguments: now",
    "fpu-report --by day": "probe",
    "fpu-report --sort size": "thread",
    "fpu-report --format xml": "csv",
    "fpu-report extra": "unrecognized arguments: extra",
}


def _one_line(part: str, *words: str) -> None:
    assert part.startswith(("fpu-trace: ", "fpu-report: ")), part
    assert "\n" not in part
    for word in words:
        assert word in part


def test_what_is_typed(kernel44: Path) -> None:
    output = trace(
        kernel44, *BAD, "maint info breakpoints", "fpu-trace status", "fpu-trace off", "continue"
    )
    for part, words in zip(output.parts, BAD.values()):
        _one_line(part, words)
    listing, status, off, end = output.parts[len(BAD) : len(BAD) + 4]
    assert probe_breakpoints(listing) == []
    assert status == "tracing is off; 0 hits of 0 tasks, 0 filtered out"
    assert off == "fpu-trace: tracing is off; no probe is in the kernel"
    assert "guest: copies=16 sanitized=8 wrong=0" in end


def test_no_target(kernel44: Path) -> None:
    commands = ("fpu-trace on", "fpu-trace probes", "fpu-report")
    output = gdb("source gdbfpu", *commands, f"file {kernel44}", *commands, "fpu-trace off")
    for part in (*output.parts[1:4], *output.parts[5:8]):
        _one_line(part, "no kernel to look at: attach first")
    assert output.parts[8] == "fpu-trace: tracing is off; no probe is in the kernel"


def _refused(output_parts: list[str], *words: str) -> None:
    """Check that `fpu-trace on` and `fpu-report` were refused and nothing was planted."""
    _one_line(output_parts[0], *words)
    _one_line(output_parts[1], *words)
    assert probe_breakpoints(output_parts[2]) == []


TRIED = ("fpu-trace on", "fpu-report", "maint info breakpoints")


def test_no_vmlinux(kernel44: Path) -> None:
    _refused(trace(kernel44, "file", *TRIED).parts[1:], "GDB has no vmlinux", "file PATH/vmlinux")


def test_no_dwarf(kernel44: Path, tmp_path: Path) -> None:
    stripped = tmp_path / "stripped"
    subprocess.run(["strip", "-g", "-o", stripped, kernel44], check=True, timeout=30)
    _refused(trace(stripped, *TRIED).parts, f"{stripped} has neither DWARF", "CONFIG_DEBUG_INFO")


def test_not_running_this_kernel_by_banner(kernel44: Path, compiler: Compiler) -> None:
    banner = GOLDEN["kernel"].strip().replace("4.4.60", "4.4.61")
    other = compiler(f'-DBANNER="{banner}"')
    parts = trace(kernel44, f"file {other}", *TRIED, f"file {kernel44}", "fpu-report").parts
    _refused(parts[1:], f"{other} does not match the running kernel", "nokaslr")
    assert "9 of 13 tasks use the FPU" in parts[5]


def test_not_running_this_kernel_by_build_id(compiler: Compiler, tmp_path: Path) -> None:
    script = tmp_path / "notes.ld"
    script.write_text(NOTES)
    ids = ("0123456789abcdef0123456789abcdef01234567", "76543210fedcba9876543210fedcba9876543210")
    one, two = (compiler(f"-Wl,-T,{script}", f"-Wl,--build-id=0x{i}") for i in ids)
    out = tmp_path / "events"
    listed = subprocess.run(["readelf", "-n", one], capture_output=True, text=True, check=True)
    assert ids[0] in listed.stdout
    parts = trace(
        one, f"file {two}", *TRIED, f"file {one}", f"fpu-trace on --quiet --out {out}", "continue"
    ).parts
    _refused(
        parts[1:], f"(build-id {ids[1]}) does not match the running kernel", f"build-id {ids[0]}"
    )
    assert "wrong=0" in parts[6]
    assert f'"build_id": "{ids[0]}"' in out.read_text().splitlines()[0]
    assert len(out.read_text().splitlines()) == 1 + len(GOLDEN["hits"])


SYMBOLS = {  # a symbol that is missing: how the error names it
    "xstate_size": "xstate_size",
    "xfeatures_mask": "xfeatures_mask",
    "boot_cpu_data": "'boot_cpu_data'",
    "linux_banner": "linux_banner",
}
MEMBERS = {  # a member that is missing: how the error names it
    "comm": "struct task_struct has no member 'comm'",
    "thread_node": "struct task_struct has no member 'thread_node'",
    "fpu": "the debugging information has no type 'fpu'",  # the struct is called so, too
    "x86_capability": "struct cpuinfo_x86 has no member 'x86_capability'",
}


@pytest.mark.parametrize(("name", "words"), [*SYMBOLS.items(), *MEMBERS.items()])
def test_something_is_missing(compiler: Compiler, name: str, words: str) -> None:
    _refused(trace(compiler(f"-D{name}=another_name"), *TRIED).parts, words)


def test_current_task_is_missing(compiler: Compiler) -> None:
    """A trace needs it and a report does not; a report needs init_task."""
    parts = trace(compiler("-Dcurrent_task=another_name"), *TRIED).parts
    _one_line(parts[0], "the kernel has no symbol 'current_task'")
    assert "9 of 13 tasks use the FPU" in parts[1]
    assert probe_breakpoints(parts[2]) == []
    parts = trace(compiler("-Dinit_task=another_name"), "fpu-report").parts
    _one_line(parts[0], "the kernel has no symbol 'init_task'")


def test_not_x86_64(tmp_path: Path) -> None:
    source, program = tmp_path / "i386.c", tmp_path / "i386"
    source.write_text('void _start(void) { for (;;) __asm__ volatile("pause"); }\n')
    flags = ["-m32", "-g", "-nostdlib", "-ffreestanding", "-static", "-fno-pie", "-no-pie"]
    subprocess.run(["gcc", *flags, "-o", program, source], check=True, timeout=60)
    output = gdb(f"file {program}", "tbreak _start", "run", "source gdbfpu", *TRIED)
    _refused(output.parts[4:], "i386")


def test_target_is_running(kernel44: Path) -> None:
    output = gdb(
        *started(kernel44, "lazy loop 100 200000"), "continue &", *TRIED, "fpu-trace off",
        "shell sleep 0.1",
    )  # fmt: skip
    for part in output.parts[5:7]:
        _one_line(part, "the kernel is running: interrupt it first (^C)")
    assert probe_breakpoints(output.parts[7]) == []
