# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/guarantees.md: each test that it names exists, and each promise names one."""

from __future__ import annotations

import ast
import functools
import re

from doc_pages import DOCS, ROOT

TEXT = (DOCS / "guarantees.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)
PROMISES = re.findall(r"^- (.*?)(?=\n- |\n\n|\Z)", TEXT, re.DOTALL | re.MULTILINE)
ROWS = [row for row in re.findall(r"^\| (.*) \|$", TEXT, re.MULTILINE) if "---" not in row]
_UNDONE = "No file remembers it."  # nothing to hold


@functools.cache
def defined_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_each_test_that_is_named_exists() -> None:
    assert len(NAMED) > 40
    missing = [f"{file}::{name}" for file, name in NAMED if name not in defined_in(file)]
    assert missing == []


def test_nothing_else_looks_like_a_test() -> None:
    assert len(NAMED) == TEXT.count("::") == TEXT.count("`tests/")


def test_each_promise_names_a_test() -> None:
    assert len(PROMISES) > 15
    assert [one for one in PROMISES if "::test_" not in one and _UNDONE not in one] == []


def test_each_way_of_ending_names_a_test() -> None:
    ways = [row for row in ROWS if not row.startswith("it ends by")]
    assert len(ways) > 10
    assert [row for row in ways if "::test_" not in row] == []
