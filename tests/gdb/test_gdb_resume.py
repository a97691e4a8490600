# SPDX-License-Identifier: GPL-2.0-or-later
"""Resuming from a hit: never a step, the exact effect, no hit lost with many threads."""

from __future__ import annotations

import collections
import re
from pathlib import Path

import pytest
from gdb_harness import Compiler, events, gdb, hit_lines, probe_breakpoints, started, trace

STEPS = re.compile(r"step=1|stepping over|step over|displaced|trap_expected=1", re.IGNORECASE)

# Four prologues a program: COPY, SAVE, SANITIZE, SANITIZE387, and the instruction chosen in each.
PROLOGUES = {
    "nothing but the program counter": (
        ("endbr64", "endbr64"),
        (".byte 0x0f,0x1f,0x44,0,0", "nop "),
        ("xchg %ax,%ax", ""),
        ("jmp 1f; ud2; 1:", "jmp "),
    ),
    "copies and widths": (
        ("push %rbp; mov %rsp,%rbp", "mov rbp, rsp"),
        ("movslq %edx,%rdx", "movsxd rdx, edx"),
        ("xor %eax,%eax; mov %edi,%ebx", "mov ebx, edi"),
        ("mov %rdi,%rbx", "mov rbx, rdi"),
    ),
    "constants and addresses": (
        ("mov $0x80000001,%eax", "mov eax, "),
        ("mov $-2,%r11", "mov r11, "),
        ("lea -0x40(%rsp,%rcx,4),%r10", "lea r10, "),
        ("lea 0x10(%rdi,%rbp),%ebx", "lea ebx, "),
    ),
}
MACROS = ("COPY", "SAVE", "SANITIZE", "SANITIZE387")
FUNCTIONS = (
    "copy_fpstate_to_sigframe", "save_xstate_sig", "fpstate_sanitize_xstate",
    "__sanitize_i387_state",
)  # fmt: skip
EVERY_PROBE = "fpu-trace on --state none " + " ".join(
    f"--probe {function}"
    for function in (
        *("copy_fpstate_to_sigframe", "save_xstate_sig"),
        *("fpstate_sanitize_xstate", "__sanitize_i387_state"),
    )
)


def _program(compiler: Compiler, prologues: tuple[str, ...]) -> Path:
    defined = (f'-D{macro}="{text}"' for macro, text in zip(MACROS, prologues))
    return compiler(*defined, source="prologue44.c")


@pytest.mark.parametrize("name", PROLOGUES)
def test_the_effect_is_what_the_cpu_makes_of_it(compiler: Compiler, name: str) -> None:
    """The program compares all registers and flags with those of a twin that nobody probes."""
    program = _program(compiler, tuple(text for text, _ in PROLOGUES[name]))
    output = trace(program, EVERY_PROBE, "continue", arguments="")
    on = output.parts[0].splitlines()
    for line, function, (_, chosen) in zip(on, FUNCTIONS, PROLOGUES[name]):
        assert re.match(rf"fpu-trace: {function} at 0x\w+, on `{re.escape(chosen)}", line)
        assert line.endswith("resumed without a step")
    for function in FUNCTIONS:
        assert f"{function}: 0 differ" in output.parts[1]
        assert len(re.findall(rf" {function} ", output.parts[1])) == 3
    assert "exited normally" in output.parts[1]


def test_the_twins_tell_a_wrong_effect(compiler: Compiler) -> None:
    """The test above can fail: a register that somebody else writes there is found out."""
    program = _program(compiler, tuple(text for text, _ in PROLOGUES["copies and widths"]))
    output = trace(
        program, "tbreak *save_xstate_sig", "continue", "set $rbp = 1", "continue", arguments=""
    )
    assert "save_xstate_sig: register 6: 0x1, not 0x5555555555555555" in output.text
    assert "save_xstate_sig: 1 differ" in output.text


def test_no_instruction_qualifies(compiler: Compiler) -> None:
    """GDB steps then, and says so; every hit is still there and the effect is still exact."""
    program = _program(compiler, ("add $1,%rax", "endbr64", "endbr64", "endbr64"))
    output = trace(
        program, EVERY_PROBE, "set debug infrun on", "continue",
        "set debug infrun off", arguments="",
    )  # fmt: skip
    first, *others = output.parts[0].splitlines()[:4]
    assert "at its entry, where GDB has to step: hits can be lost on several CPUs" in first
    assert all(line.endswith("resumed without a step") for line in others)
    assert STEPS.search(output.parts[2])
    assert len(re.findall(r" copy_fpstate_to_sigframe ", output.parts[2])) >= 3
    assert "copy_fpstate_to_sigframe: 0 differ" in output.parts[2]


def test_never_a_step(kernel44: Path) -> None:
    output = trace(kernel44, "fpu-trace on", "set debug infrun on", "continue")
    assert "guest: copies=16 sanitized=8 wrong=0" in output.parts[2]
    assert len(re.findall(r"\[infrun\] handle_signal_stop", output.parts[2])) >= 24
    assert not STEPS.search(output.parts[2])


def test_a_plain_breakpoint_is_stepped_over(kernel44: Path) -> None:
    """The test above can fail: GDB's own way of resuming shows in the same output."""
    output = trace(
        kernel44, "break copy_fpstate_to_sigframe", "ignore $bpnum 100", "set debug infrun on",
        "continue",
    )  # fmt: skip
    assert STEPS.search(output.parts[3])


CPUS, SIGNALS = 8, 60


def test_many_threads_at_once(kernel44: Path, tmp_path: Path) -> None:
    """Every CPU hits both probes at the same time; each hit is counted, for the right task."""
    out = tmp_path / "events"
    output = trace(
        kernel44, "break finished", f"fpu-trace on --quiet --state none --out {out}", "continue",
        "fpu-trace status", "continue", arguments=f"lazy storm {CPUS} {SIGNALS}",
    )  # fmt: skip
    hits = collections.Counter((h["pid"], h["cpu"], h["function"]) for h in events(out)[1])
    want = {(100 + n, n, "copy_fpstate_to_sigframe"): SIGNALS for n in range(1, CPUS + 1)}
    want |= {(100 + n, n, "fpstate_sanitize_xstate"): SIGNALS // 2 for n in range(1, CPUS + 1)}
    assert hits == want
    total = CPUS * SIGNALS * 3 // 2
    assert output.parts[3].startswith(f"tracing is on; {total} hits of {CPUS} tasks")
    assert "not recorded" not in output.parts[3]
    copies, sanitized = CPUS * SIGNALS, CPUS * SIGNALS // 2
    assert f"guest: copies={copies} sanitized={sanitized} wrong=0" in output.parts[4]


def test_the_limit_among_many_threads(kernel44: Path) -> None:
    """Threads that stand at a probe when the limit is reached go on unharmed without it."""
    output = trace(
        kernel44, "fpu-trace on --limit 50", "continue", "maint info breakpoints", "continue",
        arguments="lazy storm 8 20",
    )  # fmt: skip
    assert len(hit_lines(output.parts[1])) == 50
    assert "limit of 50 hits reached; tracing is off" in output.parts[1]
    assert probe_breakpoints(output.parts[2]) == []
    assert hit_lines(output.parts[3]) == []
    assert "guest: copies=160 sanitized=80 wrong=0" in output.parts[3]


def test_a_function_that_is_inlined_at_the_entry_hides_nothing(compiler: Compiler) -> None:
    """4.4.178 begins fpstate_sanitize_xstate() with use_xsaveopt(), 7 bytes of it."""
    program = compiler("-DINLINED_AT_ENTRY", "-fomit-frame-pointer")
    block = "gdb.block_for_pc(int(gdb.parse_and_eval('(long)fpstate_sanitize_xstate')))"
    inlined = f"python print({block}.function)"
    output = gdb(*started(program), inlined, "fpu-trace on --probe fpstate_sanitize_xstate")
    assert output.parts[-3] == "flag"
    assert re.search(r"on `(xchg|nop)[^`]*`, resumed without a step", output.parts[-2])


def test_only_refusals_count(kernel44: Path, tmp_path: Path) -> None:
    """Every third of 31 calls returns false; all of them go on without a step."""
    on = f"fpu-trace on --probe irq_fpu_usable --state none --out {tmp_path / 'trace'}"
    infrun = "set debug infrun on"
    output = trace(kernel44, on, infrun, "continue", arguments="lazy refuse 31")
    places = re.findall("irq_fpu_usable at .*", output.parts[0])
    assert places and all("on `ret`, resumed without a step" in place for place in places)
    assert not STEPS.search(output.parts[2])
    assert "exited normally" in output.parts[2]
    _, hits = events(tmp_path / "trace")
    assert [hit["seq"] for hit in hits] == list(range(1, 11))
    assert {(hit["function"], hit["backtrace"][0]) for hit in hits} == {("irq_fpu_usable", "main")}
    assert "10 hits of 1 task, 0 filtered out" in gdb_status(kernel44)


def gdb_status(kernel44: Path) -> str:
    on = "fpu-trace on --group refused --quiet"
    return trace(kernel44, on, "continue", "fpu-trace status", arguments="lazy refuse 31").parts[2]
