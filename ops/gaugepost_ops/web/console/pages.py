"""All pages, in the order of the navigation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost_ops.web.console import (
    audit_page,
    batches_page,
    bulk_page,
    history_page,
    holds_page,
    job_events,
    job_page,
    jobs_page,
    openid_page,
    operation_page,
    operations_page,
    overview_page,
    settings_page,
    sign_in_page,
    static_files,
    stuck_page,
    upload_page,
    uploads_page,
)

if TYPE_CHECKING:
    from gaugepost_ops.web.console.routes import Console


def add_all_routes(console: Console) -> None:
    """Add the routes of all pages."""
    for page in (
        overview_page,
        stuck_page,
        jobs_page,
        bulk_page,
        job_page,
        job_events,
        upload_page,
        uploads_page,
        batches_page,
        holds_page,
        operations_page,
        operation_page,
        audit_page,
        history_page,
        settings_page,
        sign_in_page,
        openid_page,
        static_files,
    ):
        page.add_routes(console)
