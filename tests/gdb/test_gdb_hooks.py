# SPDX-License-Identifier: GPL-2.0-or-later
"""Detaching takes the probes out first, and a hook of the person's own stays theirs."""

from __future__ import annotations

from pathlib import Path

from gdb_harness import trace

THEIRS = "python gdb.execute('define hook-detach\\necho theirs\\nend')"


def test_detach_turns_the_trace_off(kernel44: Path) -> None:
    result = trace(kernel44, "fpu-trace on", "show user hook-detach", "detach", "fpu-trace status")
    assert "fpu-trace off" in result.parts[1]
    assert "fpu-trace: off; 0 hits so far" in result.parts[2]
    assert "tracing is off" in result.parts[3]


def test_hook_of_the_persons_own_stays(kernel44: Path) -> None:
    commands = (THEIRS, "fpu-trace on", "fpu-trace off", "show user hook-detach", "detach")
    result = trace(kernel44, *commands)
    assert "echo theirs" in result.parts[3]
    assert "fpu-trace off" not in result.parts[3]
    assert "theirs" in result.parts[4]


def test_hook_goes_with_the_trace(kernel44: Path) -> None:
    commands = ("fpu-trace on", "fpu-trace off", "show user hook-detach", "fpu-trace on", "detach")
    result = trace(kernel44, *commands)
    assert "fpu-trace off" not in result.parts[2]
    assert "fpu-trace: off;" in result.parts[4]
