# SPDX-License-Identifier: GPL-2.0-or-later
"""Take the pictures of docs/ from a page: `python -m tests.pages.shoot build/demo.html docs`.

The first is of the page's top, the second of one hit, each in light and dark.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or "chromium"


def main(page_file: Path, folder: Path) -> None:
    """Write `page-light.png`, `hit-light.png` and the same in dark to `folder`."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            size = {"width": 1200, "height": 860}
            page = browser.new_page(viewport=size, color_scheme=scheme)
            page.goto(page_file.resolve().as_uri())
            page.screenshot(path=folder / f"page-{scheme}.png")
            page.screenshot(
                path=folder / f"hit-{scheme}.png",
                full_page=True,
                clip={**page.locator("#hit").bounding_box(), "height": 620},
            )
            page.close()
        browser.close()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
