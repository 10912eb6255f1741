"""A headless Chromium for tests that look at a page."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def open_browser(**options: Any) -> Iterator:
    """Yield a new page of a browser; where there is none the test is skipped, but fails in CI.

    The options are those of a context: viewport, color_scheme, offline.
    """
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
    if path is None:
        missing("no Chromium on the path: install it (apt-get install chromium)")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed: pip install playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser.new_page(**{"viewport": {"width": 1400, "height": 1000}, **options})
        finally:
            browser.close()


def missing(why: str) -> None:
    """Skip with the reason, or fail where everything must be tested."""
    if os.environ.get("CI"):
        pytest.fail(f"CI is set, so that this must be tested, and there is {why}")
    pytest.skip(why)
