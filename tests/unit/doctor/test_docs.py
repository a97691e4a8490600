# SPDX-License-Identifier: GPL-2.0-or-later
"""The pages name all checks and verdicts, and have the figures that the doctor counts with."""

from __future__ import annotations

import re
from pathlib import Path

from gdbfpu.doctor.finding import Verdict
from gdbfpu.doctor.gdb_checks import CHECKS
from gdbfpu.doctor.line import COSTS

PAGES = Path(__file__).parents[3] / "docs"
TEXT = (PAGES / "doctor.md").read_text()


def first_cells(heading: str) -> list[str]:
    """Return the first column of the table below `heading`."""
    part = TEXT.partition(heading)[2].partition("\n\n#")[0]
    return re.findall(r"^\| ([^|]+) \|", part, re.MULTILINE)[1:]


def test_checks_in_gdb():
    assert first_cells("## The checks in GDB") == list(CHECKS)


def test_verdicts():
    assert set(first_cells("# What is wrong here?")) == {verdict.value for verdict in Verdict}


def test_costs():
    """docs/kgdb.md has them, counted by others."""
    table = (PAGES / "kgdb.md").read_text()
    found = {
        (int(p), int(b)) for p, b in re.findall(r"^\|.*?\| (\d+) \| (\d+) \|", table, re.MULTILINE)
    }
    assert {(cost.packets, cost.size) for cost in COSTS} <= found
