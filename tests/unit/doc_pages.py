# SPDX-License-Identifier: GPL-2.0-or-later
"""The Markdown pages of the checkout, and what tests take out of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    ROOT / "qemu" / "guest" / "PROGRAMS.md",
    *sorted(DOCS.rglob("*.md")),
)

_FENCE = re.compile(r"^```", re.MULTILINE)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose(text: str) -> str:
    """Return Markdown `text` without its blocks of code."""
    outside = "".join(_FENCE.split(text)[::2])
    return re.sub(r"(?m)^    .*\n", "", outside)


def code_lines(text: str) -> Iterator[str]:
    """Yield the lines of the blocks of code in Markdown `text`, but for those with messages."""
    fence = ""
    for line in text.splitlines():
        if line.startswith("```"):
            fence = "" if fence else line
        elif fence:
            yield from [] if fence == "```message" else [line]
        elif line.startswith("    "):
            yield line[4:]


def spans(text: str) -> list[str]:
    """Return the code spans in the prose of Markdown `text`, each on one line."""
    return [
        " ".join(span.split()).replace("\\|", "|") for span in re.findall(r"`([^`]+)`", prose(text))
    ]


def links(text: str) -> list[str]:
    """Return the targets of the links and pictures in the prose of Markdown `text`."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(text))


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of Markdown `text`."""
    heads = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
