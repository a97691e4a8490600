# SPDX-License-Identifier: GPL-2.0-or-later
"""Links between the pages of the checkout lead somewhere, and so do their anchors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from doc_pages import PAGES, ROOT, anchors, links, name_of

each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


@each_page
def test_links_lead_to_files_and_headings(page: Path) -> None:
    broken = []
    for link in links(page.read_text()):
        if re.match("[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        there = target.is_file() and target.is_relative_to(ROOT)
        if not there or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    assert broken == []


@each_page
def test_pictures_have_words_for_who_does_not_see_them(page: Path) -> None:
    text = " ".join(page.read_text().split())
    assert [
        words for words, _ in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text) if len(words) < 20
    ] == []


def test_readme_leads_to_the_pages() -> None:
    assert len([link for link in links((ROOT / "README.md").read_text()) if "docs/" in link]) > 5
