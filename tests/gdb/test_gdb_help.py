# SPDX-License-Identifier: GPL-2.0-or-later
"""What `help` and `apropos` say: a description first, then what may follow."""

from __future__ import annotations

import re

from gdb_harness import gdb

COMMANDS = ("fpu-audit", "fpu-info", "fpu-report", "fpu-state", "fpu-trace")
VERBS = ("clear", "off", "on", "probes", "status")
SETTINGS = ("backtrace", "colour", "limit", "quiet", "state")


def test_the_overview_has_a_line_for_each_command() -> None:
    """It fits 80 columns. `fpu` alone says the same."""
    output = gdb("source gdbfpu", "help fpu", "fpu", "fpu trace")
    first, _, *lines = output.parts[1].splitlines()
    assert first == "Trace and decode how a Linux kernel uses the x86 FPU."
    named = {line.split()[0]: line for line in lines if line.startswith("  ")}
    assert set(COMMANDS) <= set(named)
    assert all(re.fullmatch(r"  \S.*  [A-Z].*[.]", line) for line in named.values())
    assert max(map(len, lines)) <= 80
    assert output.parts[2] == output.parts[1]
    assert output.parts[3] == "fpu: this lists the commands, and takes no argument"


def test_help_of_a_command_is_its_own_help() -> None:
    """The same lines, with the description first."""
    named = [name for name in COMMANDS if name != "fpu-trace"]
    named += [f"fpu-trace {verb}" for verb in VERBS]
    output = gdb("source gdbfpu", *(f"help {n}" for n in named), *(f"{n} --help" for n in named))
    for shown, own in zip(output.parts[1 : 1 + len(named)], output.parts[1 + len(named) :]):
        assert set(shown.splitlines()) == set(own.splitlines())
        assert re.match(r"[A-Z][^\n]*[.]\n", shown)
        assert "\n\nusage: fpu-" in shown
        assert "\n\noptions:\n  -h, --help " in shown
        assert "\n\n\n" not in shown


def test_help_of_fpu_trace_lists_its_verbs() -> None:
    """GDB makes the list, so these are real subcommands; each has a line of 80 columns."""
    output = gdb(
        "source gdbfpu", "help fpu-trace", "fpu-trace --help", "fpu-trace st", "fpu-trace o"
    )
    first, *lines = output.parts[1].splitlines()
    assert first == "Record each call of the kernel's FPU functions, and its task."
    listed = [line for line in lines if line.startswith("fpu-trace ")]
    assert [line.split()[1] for line in listed] == list(VERBS)
    assert max(map(len, listed)) <= 80
    assert output.parts[2].startswith("usage: fpu-trace [-h] on|off|status|clear|probes")
    assert output.parts[3] == "tracing is off; 0 hits of 0 tasks, 0 filtered out"
    assert output.parts[4] == 'Ambiguous fpu-trace command "o": off, on.'


def test_options_of_fpu_trace_on() -> None:
    output = gdb("source gdbfpu", "help fpu-trace on")
    for option in ("probe", "pid", "comm", "state", "backtrace", "limit", "quiet", "out"):
        assert f"\n  --{option} " in output.parts[1]


def test_apropos_finds_everything() -> None:
    """Each in one sentence."""
    lines = gdb("source gdbfpu", "apropos fpu").parts[1].splitlines()
    found = dict(line.split(" -- ", 1) for line in lines)
    names = {"fpu", *COMMANDS, *(f"fpu-trace {verb}" for verb in VERBS)}
    names |= {f"{verb} fpu {name}" for verb in ("set", "show") for name in SETTINGS}
    names |= {"set fpu", "show fpu"}
    names |= {f"function fpu_{name}" for name in ("live", "reg", "task", "xfeatures")}
    assert names <= set(found)
    assert all(text.endswith(".") for name, text in found.items() if name in names)
