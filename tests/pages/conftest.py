# SPDX-License-Identifier: GPL-2.0-or-later
"""A browser that opens the pages which gdbfpu makes, and records what they do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.pages.making import HITS, page_of
from tests.pages.shoot import CHROMIUM


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Its sandbox wants a user that is not root."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def opened(browser: Browser) -> Callable[..., Any]:
    """Opens a file as a page; at its end, nothing else was loaded and no script had an error."""

    @contextmanager
    def opening(file: Path, **more: Any) -> Iterator[Page]:
        context = browser.new_context(viewport={"width": 1280, "height": 900}, **more)
        page = context.new_page()
        trouble: list[str] = []
        page.on("console", lambda said: trouble.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("dialog", lambda dialog: trouble.append(dialog.message))
        page.on("request", lambda request: trouble.append(request.url))
        try:
            page.goto(file.as_uri())
            yield page
        finally:
            context.close()
        assert trouble == [file.as_uri()]

    return opening


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of `HITS`."""
    return page_of(tmp_path_factory.mktemp("page"), *HITS)


@pytest.fixture
def page(made: Path, opened: Callable[..., Any]) -> Iterator[Page]:
    """The page of `HITS`, opened."""
    with opened(made) as page:
        yield page
