# SPDX-License-Identifier: GPL-2.0-or-later
"""Make lines of CSV that a spreadsheet can open safely."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Any

__all__ = ("csv_line",)

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet evaluates text that begins with these


class _Echo:
    """A file for csv.writer, whose writerow() returns what write() returns."""

    def write(self, text: str) -> str:
        return text


_WRITER = csv.writer(_Echo(), lineterminator="")


def csv_line(values: Iterable[Any]) -> str:
    """Return a line of CSV without its end."""
    return str(_WRITER.writerow([_cell(value) for value in values]))


def _cell(value: Any) -> Any:
    """Return `value`, with a `'` in front if a spreadsheet would take it for a formula.

    A task chooses its own name: `=cmd|...` would run a program on the reader's machine.
    """
    formula = isinstance(value, str) and value.startswith(_FORMULA)
    return f"'{value}" if formula else value
