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


def test_without_rows_the_headers_stay(monkeypatch):
    assert table([], ("number", "text"), ("right",)).split() == [
        "number",
        "text",
        "--------",
        "------",
    ]
    asked = []
    monkeypatch.setattr("tabulate.tabulate", lambda *_, colalign, **__: asked.append(colalign))
    table(iter(()), ("number",), ("right",))
    table(iter([("1",)]), ("number",), ("right",))
    assert asked == [None, ("right",)]  # tabulate 0.9 fails when it is to align no columns


def test_without_tabulate_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "tabulate", None)
    with pytest.raises(UsageError, match="install it, or ask for JSON"):
        table([("a",)], ("b",))
