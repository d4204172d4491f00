"""Durations: `90` (seconds), `30s`, `5m`, `12h`, `7d`; and texts that are a time or a duration."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_LONGEST = timedelta(days=1_000_000)
"""Added to today, it is still a date that Python can represent."""


def seconds(text: str | float) -> float:
    """Parse a duration into seconds; a number without a unit is seconds. Raises ValueError."""
    match = _FORM.fullmatch(str(text).strip())
    if match is None:
        raise ValueError("expected a duration such as 90, 30s, 5m, 12h or 7d")
    return float(match[1]) * _UNITS[match[2]]


def moment(text: str) -> datetime | timedelta:
    """Parse a time with its offset, such as `2026-11-22T18:00+01:00`, or a duration: `2h`, `3d`. Raises ValueError."""
    with suppress(ValueError, OverflowError):
        duration = timedelta(seconds=seconds(text))
        if duration <= _LONGEST:
            return duration
    with suppress(ValueError, OverflowError):
        parsed = datetime.fromisoformat(text)
        if parsed.tzinfo is not None:
            return parsed.astimezone(UTC)
    raise ValueError("expected a time with its offset (2026-11-22T18:00+01:00), or a duration (30m, 2h, 3d)")


def schedule(text: str) -> tuple[float, ...]:
    """Parse a back-off schedule such as `5m,30m,2h,12h` into its waits in seconds. Raises ValueError."""
    return tuple(seconds(part) for part in text.split(","))


def spell(duration: float) -> str:
    """Format seconds in the largest unit that gives a whole number: 300 → `5m`, 90 → `90s`."""
    for unit in ("d", "h", "m"):
        if duration and duration % _UNITS[unit] == 0:
            return f"{_plain(duration / _UNITS[unit])}{unit}"
    return f"{_plain(duration)}s"


def _plain(number: float) -> str:
    """Format a number with at most 3 decimals, without an exponent and without trailing zeros."""
    return f"{number:.3f}".rstrip("0").rstrip(".")
