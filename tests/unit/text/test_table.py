# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables as text."""

from __future__ import annotations

import sys

import pytest

from gdbfpu.errors import UsageError
from gdbfpu.text.table import table


def test_values_stay_as_they_are():
    lines = table([("007", "1e3"), ("8", "x\ny")], ("number", "text"), ("right",)).splitlines()
    assert lines == [
        "  number  text",
        "--------  ------",
        "     007  1e3",
        "       8  x",
        "          y",
    ]


def test_without_tabulate_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "tabulate", None)
    with pytest.raises(UsageError, match="install it, or ask for JSON"):
        table([("a",)], ("b",))
