# SPDX-License-Identifier: GPL-2.0-or-later
"""What mkdocs does not know of this checkout: pages outside docs/, folders in `nav`, anchors.

The pages are written to be read in the checkout, too. So links go from file to file there, and
are turned here into links between the pages of the site.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

__all__ = ("on_config", "on_files", "on_page_content", "on_page_markdown")

_ROOT = Path(__file__).resolve().parents[2]
_DOCS = "docs"
_OUTSIDE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "qemu/guest/PROGRAMS.md": "guest-programs.md",
}
"""The files outside docs/ that are pages of the site, and where they are there."""

_NESTED = re.compile(r"^  - ", re.MULTILINE)  # which Python-Markdown wants deeper
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")


def on_config(config: Any) -> Any:
    """Give headings the anchors that GitHub gives them, and list the folders of `nav`."""
    config.mdx_configs["toc"] = {"slugify": _anchor}
    config.nav = [_listed(entry) for entry in config.nav]
    return config


def _anchor(heading: str, _separator: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _listed(entry: Any) -> Any:
    """Return an entry of `nav`; a folder becomes the list of its pages."""
    ((title, place),) = entry.items()
    if not isinstance(place, str) or not place.endswith("/"):
        return entry
    pages = sorted((_ROOT / _DOCS / place).glob("*.md"))
    return {title: [{page.stem: f"{place}{page.name}"} for page in pages]}


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from outside docs/."""
    for path, uri in _OUTSIDE.items():
        files.append(File.generated(config, uri, abs_src_path=str(_ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return `markdown` with links between files turned into links between pages.

    Lists within lists are moved to where Python-Markdown sees them.
    """
    uri = page.file.src_uri
    inside = {site: path for path, site in _OUTSIDE.items()}
    here = posixpath.dirname(inside.get(uri, f"{_DOCS}/{uri}"))

    def on_site(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(here, link[1]))
        target = _OUTSIDE.get(path) or path.removeprefix(f"{_DOCS}/")
        return posixpath.relpath(target, posixpath.dirname(uri) or ".")

    return _NESTED.sub("    - ", _LINK.sub(on_site, markdown))


def on_page_content(html: str, **_: Any) -> str:
    """Return `html` without the backslash that GitHub wants before a bar in a table's code."""
    return html.replace("\\|", "|")
