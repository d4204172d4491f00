"""All pages, in the order of the navigation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost_ops.web.console import overview_page, settings_page, sign_in_page, static_files

if TYPE_CHECKING:
    from gaugepost_ops.web.console.routes import Console


def add_all_routes(console: Console) -> None:
    """Add the routes of all pages."""
    for page in (overview_page, settings_page, sign_in_page, static_files):
        page.add_routes(console)
