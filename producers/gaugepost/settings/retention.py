"""Settings of retention: how long Redis keeps ended jobs, and how much a region may store."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gaugepost.settings.group import Group
from gaugepost.settings.types import Seconds


class RetentionSettings(Group):
    """Retention: what Redis keeps, how long and how much."""

    retention_delivered: Annotated[
        Seconds, Field(description="how long Redis keeps delivered, cancelled and expired jobs")
    ] = 7 * 86_400.0
    retention_dead: Annotated[Seconds, Field(description="how long Redis keeps dead jobs")] = 90 * 86_400.0
    retention_audit: Annotated[
        Seconds, Field(description="how long Redis keeps an entry of the [audit trail](docs/audit.md)")
    ] = 365 * 86_400.0
    retention_content: Annotated[
        Seconds, Field(description="how long Redis keeps a file's content after a worker sent it")
    ] = 86_400.0
    backlog_limit: Annotated[
        int, Field(ge=1, description="jobs that may wait in a region; then enqueue raises BacklogFull")
    ] = 1_000_000
    content_limit: Annotated[
        int,
        Field(ge=1, description="bytes of compressed file contents that a region may have; then uploads are refused"),
    ] = 500_000_000
