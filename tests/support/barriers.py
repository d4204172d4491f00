"""Find what keeps people with other eyes or hands from using a page, by axe-core."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


def barriers(page: Page) -> list[str]:
    """Return the serious and critical violations of a page."""
    violations = Axe().run(page).response["violations"]
    return [f"{page.url}: {one['id']}" for one in violations if one["impact"] in {"serious", "critical"}]
