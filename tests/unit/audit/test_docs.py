# SPDX-License-Identifier: GPL-2.0-or-later
"""The audit's documentation: a page for each rule, pictures as drawn."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gdbfpu.audit.inject import FRAME_WRITES, WRITES
from gdbfpu.audit.rules import BLIND_SPOTS, RULES
from gdbfpu.audit.text import summary

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
INDEX = DOCS / "audit.md"
PAGES = sorted((DOCS / "audit").iterdir())
DRAW = ROOT / "scripts" / "draw-leak"

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


def paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split("\n\n")]


@each_rule
def test_rule_has_a_page_that_names_it_and_what_must_hold(rule):
    page = ROOT / rule.page
    assert page.is_file(), f"write {rule.page}"
    text = page.read_text()
    assert text.splitlines()[0] == f"# {rule.name}"
    assert rule.invariant in text.splitlines()


@each_rule
def test_page_has_every_part(rule):
    heads = [line for line in (ROOT / rule.page).read_text().splitlines() if line[:3] == "## "]
    assert heads == [
        "## Why",
        "## Source",
        "## What is read",
        "## A finding",
        "## When it is not decidable",
        "## What to do",
    ]


@each_rule
def test_page_shows_a_finding_of_its_rule(rule):
    example = r"^    (error|warning|note) " + rule.name + ": "
    assert re.search(example, (ROOT / rule.page).read_text(), re.MULTILINE)


def test_no_page_is_of_a_rule_that_does_not_exist():
    assert [page.name for page in PAGES] == sorted(f"{rule.name}.md" for rule in RULES)


@each_rule
def test_index_links_each_page_beside_what_must_hold(rule):
    rows = [line for line in INDEX.read_text().splitlines() if f"(audit/{rule.name}.md)" in line]
    assert len(rows) == 1
    assert rows[0].startswith(f"| [{rule.name}](audit/{rule.name}.md) | ")
    assert rows[0].endswith(f" | {rule.invariant} |")


def test_index_has_what_no_rule_decides():
    lines = INDEX.read_text().splitlines()
    assert [row for row in BLIND_SPOTS if f"| {row[0]} | {row[1]} |" not in lines] == []


def test_index_has_the_defects_that_can_be_planted():
    wanted = [
        f"{', '.join(names[:-1])} and {names[-1]}" for names in map(list, (WRITES, FRAME_WRITES))
    ]
    planting = next(text for text in paragraphs(INDEX.read_text()) if "There are defects" in text)
    assert [names for names in wanted if names not in planting] == []


def test_index_has_the_last_line_as_the_code_documents_it():
    line = "fpu-audit: VERDICT: E errors, W warnings, N notes in T tasks; U not decidable"
    assert f"    {line}" in INDEX.read_text().splitlines()
    assert f"`{line}`" in (summary.__doc__ or "")


def test_leak_shows_every_picture_with_words_for_it():
    text = " ".join((DOCS / "leak.md").read_text().split())
    shown = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", text)
    assert sorted(name for _, name in shown) == sorted(
        path.name for path in DOCS.glob("leak-*.svg")
    )
    assert all(len(words) > 40 for words, _ in shown)


def draw(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DRAW), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_pictures_are_what_the_script_draws():
    done = draw("--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_check_fails_for_a_picture_that_differs_and_for_one_that_is_missing(tmp_path):
    assert draw("--docs", str(tmp_path)).returncode == 0
    assert draw("--docs", str(tmp_path), "--check").returncode == 0
    changed, gone, *_ = sorted(tmp_path.iterdir())
    changed.write_text(changed.read_text().replace("XSTATE_BV = 0x7", "XSTATE_BV = 0x6"))
    gone.unlink()
    done = draw("--docs", str(tmp_path), "--check")
    assert done.returncode == 1
    assert [changed.name in done.stderr, gone.name in done.stderr] == [True, True]


def test_pictures_tell_the_leak():
    # The recorded program's pattern: byte j >= 16 of ymm0 is j & 15, XOR 0xff.
    pattern = bytes((j & 15) ^ 0xFF for j in range(16, 32)).hex(" ")
    used, stale, clean = (path.read_text() for path in sorted(DOCS.glob("leak-*.svg")))
    assert [f"XSTATE_BV = {mask}<" in text for mask, text in
            (("0x7", used), ("0x3", stale), ("0x3", clean))] == [True] * 3  # fmt: skip
    assert [pattern in text for text in (used, stale, clean)] == [True, True, False]
    assert ["url(#stale)" in text for text in (used, stale, clean)] == [False, True, False]
