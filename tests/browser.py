"""A real Chromium for tests that look at pages; they are skipped where there is none, except in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """Return the path of the browser, or skip the test; in CI, fail it."""
    path = next((path for path in map(shutil.which, NAMES) if path), None)
    if path is None:
        reason = "there is no Chromium on this machine (Debian: apt-get install chromium)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return path


class Page:
    """A page in the browser, with the messages of its console and its network requests."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._context: Any = None
        self.problems: list[str] = []
        self.requests: list[str] = []

    def show(self, path: Path | None, *, scheme: str, width: int, **options: Any) -> None:
        """Open a file; `options` are those of a browser's context, such as `contrast` and `java_script_enabled`."""
        assert path is not None
        if self._context is not None:
            self._context.close()
        self.problems.clear()
        self.requests.clear()
        size = {"width": width, "height": 900}
        self._context = self._browser.new_context(color_scheme=scheme, viewport=size, **options)
        self._page = self._context.new_page()
        self._page.on("console", lambda message: self.problems.append(message.text))
        self._page.on("pageerror", lambda error: self.problems.append(str(error)))
        self._page.on("request", lambda request: self.requests.append(request.url))
        self._page.goto(path.resolve().as_uri())
        self.requests.remove(path.resolve().as_uri())

    def as_print(self) -> None:
        """Show the page as it is printed."""
        self._page.emulate_media(media="print")

    def pdf(self) -> bytes:
        """Print the page."""
        document: bytes = self._page.pdf(prefer_css_page_size=True)
        return document

    def texts(self, selector: str) -> list[str]:
        """Return the texts of elements."""
        texts: list[str] = self._page.locator(selector).all_inner_texts()
        return texts

    def count(self, selector: str) -> int:
        """Count elements."""
        return int(self._page.locator(selector).count())

    def click(self, selector: str) -> None:
        """Click the first element."""
        self._page.locator(selector).first.click()

    def press(self, key: str) -> None:
        """Press a key, as Tab or Enter, where the focus is."""
        self._page.keyboard.press(key)

    def value(self, script: str, argument: Any = None) -> Any:
        """Evaluate a script in the page: an expression, or a function of an argument."""
        return self._page.evaluate(script, argument)


@contextmanager
def running_browser() -> Iterator[Any]:
    """Run a browser without a window; an event loop runs in this thread as long."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def chromium_page() -> Iterator[Page]:
    """Run a browser for pages that are files."""
    with running_browser() as browser:
        yield Page(browser)
