# SPDX-License-Identifier: GPL-2.0-or-later
"""Text stays text: what a form of an answer must not hold, whatever the names in it are."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser

__all__ = ("elements", "faults_of_text")

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a spreadsheet's formula begins


def faults_of_text(form: str, text: str) -> Iterator[str]:
    """Yield what is wrong in `text`, a line each. `form` is `json`, `csv`, or any other."""
    odd = {c for c in text if not c.isprintable() and c != "\n"}
    if odd and form not in ("html", "perfetto"):
        yield f"{form}: prints {sorted(odd)!r}"
    if form in ("json", "perfetto"):
        json.loads(text)
    if form == "csv":
        rows = list(csv.reader(io.StringIO(text)))
        if len({len(row) for row in rows}) != 1:
            yield "csv: rows of several lengths"
        yield from (f"csv: a formula: {cell!r}" for row in rows for cell in row
                    if cell.startswith(_FORMULA) and not cell[1:].isdigit())  # fmt: skip


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found[" ".join((tag, *sorted(name for name, _ in attrs)))] += 1


def elements(page: str) -> Counter[str]:
    """Return how often a page has each element, named with its attributes."""
    parser = _Elements()
    parser.feed(page)
    parser.close()
    return parser.found
