"""Sign in to the console in a browser."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, Page, expect

from support.console import PASSWORD


def sign_in(context: BrowserContext, name: str = "ann") -> Page:
    """Sign a person in, and return the overview."""
    page = context.new_page()
    page.goto("/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    return page
