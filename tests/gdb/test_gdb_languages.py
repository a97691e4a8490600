# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person has set for expressions - language, radix, frame - changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from gdb_harness import expected_hits, hit_lines, trace

HITS = len(expected_hits())
LANGUAGES = ("rust", "ada", "pascal", "modula-2", "fortran", "d", "unknown")


@pytest.mark.parametrize("language", LANGUAGES)
def test_language(kernel44: Path, language: str) -> None:
    """Symbols are found, breakpoints planted, registers written; the language stays as it was."""
    output = trace(
        kernel44, f"set language {language}", "break finished", "fpu-trace on", "continue",
        "fpu-report --format csv", "show language", "fpu-trace status",
    )  # fmt: skip
    lines = hit_lines(output.parts[3])
    assert len(lines) == HITS
    assert {line[2] for line in lines} == {"Xorg", "x87calc", "mmxplay", "audiod"}
    assert ",Xorg,yes," in output.parts[4]
    assert f'is "{language}"' in output.parts[5]
    assert "not recorded" not in output.parts[6]


def test_language_while_tracing(kernel44: Path) -> None:
    """In Pascal `$rip = 5` is a comparison; in `unknown` there are no expressions."""
    output = trace(
        kernel44, "break finished", "fpu-trace on --limit 3", "set language pascal", "continue",
        "fpu-trace on", "set language unknown", "continue", "fpu-trace status",
    )  # fmt: skip
    assert len(hit_lines(output.parts[3])) == 3
    assert len(hit_lines(output.parts[6])) == HITS - 3
    assert "not recorded" not in output.parts[7]


def test_radix(kernel44: Path) -> None:
    """`set` reads 256 as 0x256 then; the settings come back as they were."""
    output = trace(
        kernel44, "set input-radix 16", "break finished", "show dcache line-size",
        "fpu-trace on --backtrace 8", "continue", "fpu-trace off", "show dcache line-size",
        "fpu-trace on --limit 5", "fpu-trace off",
    )  # fmt: skip
    assert len([line for line in hit_lines(output.parts[4]) if line[8]]) == HITS
    assert "dcache" in output.parts[6].lower() and output.parts[6] == output.parts[2]
    assert len(output.parts[3].splitlines()) == 3  # the probes and the heading, no error
    assert output.parts[8].startswith("fpu-trace: off")


def test_a_local_variable_shadows_no_symbol(kernel44: Path) -> None:
    """`eclipse` has locals called as the kernel's variables are."""
    output = trace(
        kernel44, "tbreak eclipse", "continue", "fpu-trace on --limit 2", "fpu-info --format json",
        "continue", arguments="lazy eclipsed",
    )  # fmt: skip
    assert "linux_banner" in output.parts[3] and "Linux version 4.4.60" in output.parts[3]
    assert len(hit_lines(output.parts[4])) == 2
