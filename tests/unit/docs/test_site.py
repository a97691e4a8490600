# SPDX-License-Identifier: GPL-2.0-or-later
"""The site: mkdocs builds it without a warning, and it needs no network to be looked at."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import DOCS, PAGES, ROOT

CONFIGURATION = DOCS / "site" / "mkdocs.yml"
RESOURCE = re.compile(r'(?:src="|<link[^>]*href="|url\(["\']?|@import ["\'])(https?:|//)[^"\')]*')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    command += ["-f", str(CONFIGURATION), "-d", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_every_page_is_in_the_site(site: Path) -> None:
    wanted = {page.relative_to(DOCS).with_suffix(".html") for page in PAGES if DOCS in page.parents}
    assert {path for path in wanted if not (site / path).is_file()} == set()
    assert {"contributing.html", "changelog.html", "guest-programs.html"} <= {
        path.name for path in site.iterdir()
    }


def test_looking_at_it_needs_no_network(site: Path) -> None:
    files = [path for path in site.rglob("*") if path.suffix in (".html", ".css", ".svg")]
    assert len(files) > 50
    found = {path.name: RESOURCE.findall(path.read_text()) for path in files}
    assert {name: there for name, there in found.items() if there} == {}


def test_pages_have_what_the_scripts_of_the_theme_look_for(site: Path) -> None:
    """A script that misses one stops there: no stripes in tables, no switch for the colours."""
    page = (site / "index.html").read_text()
    wanted = {
        name
        for script in ("base.js", "darkmode.js")
        for name in re.findall(r"getElementById\(['\"]([\w-]+)", (site / "js" / script).read_text())
    }
    assert len(wanted) > 3
    assert {name for name in wanted if f'id="{name}"' not in page} == set()


def test_a_broken_link_is_an_error(tmp_path: Path) -> None:
    pages = tmp_path / "docs"
    pages.mkdir()
    (pages / "index.md").write_text("# A page\n\n[nowhere](gone.md)\n")
    configuration = tmp_path / "mkdocs.yml"
    text = CONFIGURATION.read_text().partition("\n# A folder stands")[0]
    text = text.replace("docs_dir: ..", f"docs_dir: {pages}").replace("hooks: [hooks.py]\n", "")
    text = text.replace("  custom_dir: theme\n", "")
    configuration.write_text(text)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(configuration)]
    command += ["-d", str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "gone.md" in done.stderr
