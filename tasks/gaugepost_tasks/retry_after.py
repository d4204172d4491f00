"""Retry-After, in either of its forms, as seconds from now."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST = 86_400.0
"""A day, in seconds: a region is asked again by then, whatever it was told."""

_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]+)?")


def read_retry_after(text: str | None, now: float) -> float | None:
    """Read seconds or an HTTP date against `now` (Unix seconds): 0 to a day; None if it is neither."""
    if text is None:
        return None
    seconds = float(text.strip()) if _SECONDS.fullmatch(text.strip()) else _until(text, now)
    return None if seconds is None else min(max(seconds, 0.0), LONGEST)


def _until(text: str, now: float) -> float | None:
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
