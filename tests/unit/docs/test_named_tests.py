# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages whose sentences name tests: each test exists, and each promise and defect names one."""

from __future__ import annotations

import ast
import functools
import itertools
import re

from doc_pages import DOCS, ROOT

PAGES = [(DOCS / name).read_text() for name in ("guarantees.md", "torture.md")]
LEAST = (40, 25)  # tests that they name, and more
GUARANTEES, _ = PAGES
NAMED = [re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page) for page in PAGES]
ITEMS = [re.findall(r"^- (.*?)(?=\n- |\n\n|\Z)", page, re.DOTALL | re.MULTILINE) for page in PAGES]
ROWS = [row for row in re.findall(r"^\| (.*) \|$", GUARANTEES, re.MULTILINE) if "---" not in row]
_UNDONE = "No file remembers it."  # nothing to hold


@functools.cache
def defined_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_each_test_that_is_named_exists() -> None:
    assert all(len(named) > least for named, least in zip(NAMED, LEAST, strict=True))
    every = itertools.chain(*NAMED)
    assert [f"{file}::{name}" for file, name in every if name not in defined_in(file)] == []


def test_nothing_else_looks_like_a_test() -> None:
    for page, named in zip(PAGES, NAMED, strict=True):
        assert len(named) == page.count("::") == page.count("`tests/")


def test_each_item_names_a_test() -> None:
    assert all(len(items) > 15 for items in ITEMS)
    every = itertools.chain(*ITEMS)
    assert [one for one in every if "::test_" not in one and _UNDONE not in one] == []


def test_each_way_of_ending_names_a_test() -> None:
    ways = [row for row in ROWS if not row.startswith("it ends by")]
    assert len(ways) > 10
    assert [row for row in ways if "::test_" not in row] == []
