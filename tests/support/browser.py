"""Drive Debian's headless Chromium by playwright, without a download."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, expect, sync_playwright

expect.set_options(timeout=30_000)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium, and end it."""
    found = shutil.which("chromium")
    assert found, 'mark tests of this browser with needs("chromium")'
    with sync_playwright() as playwright:
        # Root has no sandbox in Chromium, and a container's /dev/shm may be tiny.
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=found, headless=True, args=options)
        try:
            yield browser
        finally:
            browser.close()
