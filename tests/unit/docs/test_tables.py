# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables of the pages that list what the code has: keys of a file, columns, names of values."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest
from doc_pages import DOCS
from event_files import HEADER

from gdbfpu.commands.export_options import FORMS
from gdbfpu.probes.jobs import GROUPS
from gdbfpu.report.report import Report
from gdbfpu.report.sorts import SORTS
from gdbfpu.trace.event_file import Hit
from gdbfpu.trace.hit_text import hit_heading
from gdbfpu.xsave.formats import FORMATS


def rows(page: str, before: str) -> list[str]:
    """The first cells of the first table of a page after the text `before`."""
    text = (DOCS / page).read_text()
    assert text.count(before) == 1
    lines = text.partition(before)[2].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|--"))
    found = []
    for line in lines[start + 1 :]:
        if not line.startswith("|"):
            break
        found.append(re.split(r" \| ", line.removeprefix("| "))[0])
    return found


def words(cells: list[str]) -> list[str]:
    return [word for cell in cells for word in cell.replace("`", "").split(", ")]


def test_keys_of_the_header() -> None:
    assert words(rows("data.md", "\nThe header:\n")) == list(HEADER)


def test_keys_of_a_hit() -> None:
    assert sorted(words(rows("data.md", "\nA hit:\n"))) == sorted(f.name for f in fields(Hit))


def test_keys_of_the_report() -> None:
    report = Report("kernel", "lazy", (), 0, 0, 0, 0, (), ())
    assert sorted(words(rows("data.md", "\n## The report\n"))) == sorted(report.to_json())


def test_columns_of_a_hit() -> None:
    heading = hit_heading(0, 1).split()
    assert words(rows("trace.md", "\n## A line of the trace\n")) == heading


def test_columns_of_the_report_are_among_those_that_it_sorts_by() -> None:
    columns = words(rows("trace.md", "\n## The report\n"))
    assert {"CPU", "components", "live", "memory", "first", "last", "findings"} <= set(columns)
    assert {c.lower() for c in columns} - {*SORTS} == {"fpu", "*function names*", "why"}


@pytest.mark.parametrize(
    ("page", "before", "names"),
    [
        ("data.md", "\n## Other forms\n", tuple(FORMS)),
        ("fpu-info.md", "The groups:\n", GROUPS),
        ("decode.md", "\n## Formats\n", FORMATS),
    ],
    ids=["exports", "groups", "formats"],
)
def test_names_of_values(page: str, before: str, names: tuple[str, ...]) -> None:
    assert sorted(words(rows(page, before))) == sorted(names)
