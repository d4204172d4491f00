"""Settings of delivery: mappings, leases, and the waits before a job is sent again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from gaugepost.settings.group import Group
from gaugepost.settings.types import Seconds, read_schedule
from gaugepost.verdict import Verdict


def _backoff(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return {str(name).lower(): read_schedule(text) for name, text in value.items()}


class DeliverySettings(Group):
    """Delivery: mappings, leases and waits."""

    mappings: Annotated[
        Path | None,
        Field(description="path of a [mappings.toml](docs/mappings.md): aliases, types and fields of configurations"),
    ] = None
    lease: Annotated[
        Seconds,
        Field(
            description="seconds that a worker owns a claimed job; longer than the longest exchange. "
            "Use the same value for all workers of a region, or change it by at most a factor of 4 at a time"
        ),
    ] = 90.0
    retry_after_cap: Annotated[
        Seconds, Field(description="longest Retry-After in seconds; a longer one is cut to this")
    ] = 3_600.0
    backoff: Annotated[
        dict[Verdict, tuple[float, ...]],
        BeforeValidator(_backoff),
        Field(description="waits after one verdict; replaces the policy's: `GAUGEPOST_BACKOFF__NO_CAMPAIGN=5m,30m,2h`"),
    ] = {}  # noqa: RUF012 - pydantic copies it
