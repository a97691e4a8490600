# SPDX-License-Identifier: GPL-2.0-or-later
"""The pictures of the pages: what the scripts draw, shown somewhere, readable on any background."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from doc_pages import DOCS, PAGES, links

from docs.site.pictures import pictures

DRAWN = pictures()
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_picture_is_what_the_script_draws(name: str) -> None:
    assert (DOCS / name).read_text() == DRAWN[name], "run `make docs`, which draws it anew"


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_picture_brings_a_background_and_colours_for_both(name: str) -> None:
    tree = ElementTree.fromstring(DRAWN[name])
    (style,) = tree.findall(f"{SVG}style")
    light, dark = re.findall(r"\.paper { fill: (#\w+) }", style.text or "")
    assert int(light[1:], 16) > 0xC00000 > 0x404040 > int(dark[1:], 16)
    paper = tree.find(f"{SVG}rect")
    assert paper is not None and paper.get("class") == "paper"
    assert (paper.get("width"), paper.get("height")) == (tree.get("width"), tree.get("height"))


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_words_stay_inside_the_picture(name: str) -> None:
    tree = ElementTree.fromstring(DRAWN[name])
    for text in tree.iter(f"{SVG}text"):
        x, half = float(text.get("x", "")), 4.2 * len(text.text or "")
        left, right = (x - half, x + half) if text.get("text-anchor") else (x, x + 2 * half)
        assert left >= 0, text.text
        assert right <= 1000, text.text


def test_every_picture_is_shown() -> None:
    shown = {link.rpartition("/")[2] for page in PAGES for link in links(page.read_text())}
    assert {path.name for path in DOCS.glob("*.svg")} <= shown
