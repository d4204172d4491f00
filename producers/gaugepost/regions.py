"""CustomerGauge's regions. Each has its own queues, keys, token, holds and upload lane."""

from __future__ import annotations

from enum import StrEnum


class Region(StrEnum):
    """The region of a CustomerGauge account; the value is part of the names of its hosts."""

    EU = "eu"
    US = "us"
    AU = "au"
