"""Where an account lives. A region is a cell: its own queue, keys, token, holds and upload lane."""

from __future__ import annotations

from enum import StrEnum


class Region(StrEnum):
    """One of CustomerGauge's three hosts of accounts; the value is what stands in its host names."""

    EU = "eu"
    US = "us"
    AU = "au"
