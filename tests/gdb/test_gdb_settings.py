# SPDX-License-Identifier: GPL-2.0-or-later
"""`set fpu` and `show fpu`: the defaults of commands, as any other setting of GDB."""

from __future__ import annotations

from pathlib import Path

import pytest
from gdb_harness import events, gdb, hit_lines, trace

AT_FIRST = """\
fpu backtrace:  A trace records 1 caller of each hit.
fpu colour:  Text is in colour on a terminal, if `style enabled` is on (auto).
fpu from-cpu:  Over KGDB, commands ask the stopped CPU for its registers only with --from-cpu.
fpu limit:  A trace has no limit of hits.
fpu quiet:  A trace prints a line for each hit.
fpu state:  Of the FPU state, a trace reads "header" at each hit."""
SET = ("backtrace 3", "colour off", "from-cpu on", "limit 1", "quiet on", "state none")
AFTERWARDS = """\
fpu backtrace:  A trace records 3 callers of each hit.
fpu colour:  Text is never in colour.
fpu from-cpu:  Over KGDB, commands ask the stopped CPU for its registers.
fpu limit:  A trace ends after 1 hit.
fpu quiet:  A trace prints no line for each hit.
fpu state:  Of the FPU state, a trace reads "none" at each hit."""


def test_show() -> None:
    """All at once, one by one, and among all settings of GDB."""
    names = [line.split(":")[0] for line in AT_FIRST.splitlines()]
    output = gdb(
        "source gdbfpu", "show fpu", *(f"show {name}" for name in names),
        *(f"set fpu {each}" for each in SET), "show fpu", "info set",
    )  # fmt: skip
    assert output.parts[1] == AT_FIRST
    for line, part in zip(AT_FIRST.splitlines(), output.parts[2:8]):
        assert line.endswith(part) and len(part) > 20
    assert output.parts[8:14] == [""] * 6
    assert output.parts[14] == AFTERWARDS
    assert set(AFTERWARDS.splitlines()) <= set(output.parts[15].splitlines())


WRONG = {  # most of it is GDB's own, the same as for other settings
    "set fpu backtrace -1": "integer -1 out of range",
    "set fpu backtrace": "Argument required (integer to set it to).",
    "set fpu limit -1": "integer -1 out of range",
    "set fpu state most": 'Undefined item: "most".',
    "set fpu state": "Requires an argument. Valid arguments are none, header, full.",
    "set fpu quiet maybe": '"on" or "off" expected.',
    "set fpu from-cpu maybe": '"on" or "off" expected.',
    "set fpu colour maybe": '"on", "off" or "auto" expected.',
    "set fpu color on": "no setting `fpu color`: see `help set fpu`",
    "show fpu color": "no setting `fpu color`: see `help show fpu`",
}


def test_wrong_values_change_nothing() -> None:
    output = gdb("source gdbfpu", *WRONG, "show fpu", "set fpu")
    assert dict(zip(WRONG, output.parts[1:])) == WRONG
    assert output.parts[1 + len(WRONG)] == AT_FIRST
    assert "set fpu backtrace -- Set how many callers" in output.parts[2 + len(WRONG)]


def test_they_are_the_defaults_of_a_trace(kernel44: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    output = trace(
        kernel44, "set fpu limit 3", "set fpu quiet on", "set fpu backtrace 0",
        "set fpu state full", f"fpu-trace on --out {one}", "continue", "set fpu limit 0",
        f"fpu-trace on --no-quiet --limit 5 --backtrace 2 --state none --out {two}", "continue",
    )  # fmt: skip
    assert "fpu-trace: limit of 3 hits reached" in output.parts[5]
    assert hit_lines(output.text) == hit_lines(output.parts[8])
    assert "fpu-trace: limit of 5 hits reached" in output.parts[8]
    assert len(hit_lines(output.parts[8])) == 5
    for path, count, callers, state in ((one, 3, 0, True), (two, 5, 2, False)):
        hits = events(path)[1]
        assert len(hits) == count
        assert {len(hit["backtrace"]) for hit in hits} == {callers}
        assert all(("raw" in hit and hit["raw"] is not None) is state for hit in hits)


def test_with_changes_one_trace(kernel44: Path) -> None:
    """GDB's own `with` changes a setting for a command."""
    output = trace(kernel44, "with fpu limit 2 -- fpu-trace on", "continue", "show fpu limit")
    assert "fpu-trace: limit of 2 hits reached" in output.parts[1]
    assert output.parts[2] == "A trace has no limit of hits."


@pytest.mark.parametrize("asked", ["help fpu-trace on", "fpu-trace on --help"])
def test_help_shows_the_default_in_force(asked: str) -> None:
    output = gdb("source gdbfpu", asked, "set fpu limit 4", asked, "set fpu limit unlimited", asked)
    shown = [" ".join(output.parts[n].split()) for n in (1, 3, 5)]
    assert ["0 for no limit (default: 4)" in text for text in shown] == [False, True, False]
    assert ["0 for no limit (default: 0)" in text for text in shown] == [True, False, True]


@pytest.mark.parametrize("command", ["fpu-state", "fpu-info", "fpu-audit"])
def test_whether_a_cpu_is_asked_is_a_default_of_three_commands(command: str) -> None:
    """Help and completion know it; a word of the command line needs no `on`."""
    asked = (f"help {command}", f"{command} --help")
    output = gdb(
        "source gdbfpu", *asked, "set fpu from-cpu on", *asked, "set fpu from-cpu off", *asked
    )
    shown = [" ".join(output.parts[n].split()) for n in (1, 2, 4, 5, 7, 8)]
    assert ["put back (default: off)" in text for text in shown] == [True] * 2 + [False] * 2 + [
        True
    ] * 2
    assert ["put back (default: on)" in text for text in shown] == [False] * 2 + [True] * 2 + [
        False
    ] * 2


def test_help_of_asking_a_cpu() -> None:
    output = gdb("source gdbfpu", "help set fpu from-cpu", "show fpu from-cpu", "set fpu from-cpu")
    lines = output.parts[1].splitlines()
    assert lines[0] == "Set whether commands ask the stopped CPU for its registers over KGDB."
    assert "default of `--from-cpu` of fpu-state, fpu-info and fpu-audit" in output.parts[1]
    assert output.parts[2] == (
        "Over KGDB, commands ask the stopped CPU for its registers only with --from-cpu."
    )
