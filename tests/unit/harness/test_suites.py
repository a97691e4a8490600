# SPDX-License-Identifier: GPL-2.0-or-later
"""`make test-gdbs` itself: a GDB that cannot be had, or fails a test, fails it and is named."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qemu.errors import SetupError
from qemu.gdbs import SUITES, Versions
from tests.gdb import suites


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The tests that were run, each with its GDB; all pass."""
    calls: list[tuple[str, str]] = []
    for name in ("tier", "trace"):
        replace(monkeypatch, name, lambda name=name: not calls.append((name, os.environ["GDB"])))
    replace(monkeypatch, "obtain", lambda suite: Path("/gdbs") / suite)
    replace(monkeypatch, "versions_of", lambda _program: Versions("99.1", "3.99.0"))
    monkeypatch.setattr(sys, "argv", ["suites"])
    monkeypatch.setenv("GDB", "")
    return calls


def replace(monkeypatch: pytest.MonkeyPatch, name: str, by: Callable[..., object]) -> None:
    monkeypatch.setattr(suites, name, by)


def test_each_gdb_runs_each_test(ran, capsys):
    assert suites.main() == 0
    programs = ["gdb", *(f"/gdbs/{suite}" for suite in SUITES)]
    assert ran == [(test, p) for p in programs for test in ("tier", "trace")]
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(table) == 1 + len(programs)
    assert all(line.count("passed") == 2 for line in table[1:])


def test_newest_runs_the_gdb_tier_only(ran, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["suites", "--newest"])
    assert suites.main() == 0
    assert ran == [("tier", f"/gdbs/{SUITES[-1]}")]


def test_gdb_that_cannot_be_had_is_one_line_and_an_error(ran, monkeypatch, capsys):
    def obtain(suite: str) -> Path:
        if suite == SUITES[0]:
            raise SetupError("apt-get update: no network")
        return Path("/gdbs") / suite

    replace(monkeypatch, "obtain", obtain)
    assert suites.main() == 1
    assert capsys.readouterr().err == f"gdbs: {SUITES[0]}: apt-get update: no network\n"
    assert len(ran) == 2 * len(SUITES)


def test_failed_test_is_an_error(ran, monkeypatch, capsys):
    replace(monkeypatch, "trace", lambda: False)
    assert suites.main() == 1
    assert capsys.readouterr().out.count(suites.FAILED) == 1 + len(SUITES)


def test_interrupt_ends_it_with_what_there_is(ran, monkeypatch, capsys):
    def tier() -> bool:
        if os.environ["GDB"] != "gdb":
            raise KeyboardInterrupt
        return True

    replace(monkeypatch, "tier", tier)
    assert suites.main() == 1
    said = capsys.readouterr()
    assert said.err == f"gdbs: {SUITES[0]}: interrupted\n"
    assert f"| {suites.SYSTEM} " in said.out
