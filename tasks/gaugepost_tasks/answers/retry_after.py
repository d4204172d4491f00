"""Retry-After, in either of its forms, as seconds from now."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gaugepost_tasks.http_messages import Answer

_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]+)?")


def requested_wait(answer: Answer, now: float) -> float | None:
    """Return how many seconds an answer asks to wait; None if it does not say. `now`: Unix seconds."""
    return read_retry_after(answer.headers.get("retry-after"), now, answer.headers.get("date"))


def read_retry_after(text: str | None, now: float, date: str | None = None) -> float | None:
    """Read seconds or an HTTP date: how many seconds to wait; None if it is neither.

    A date is by the server's clock, so what it means is told by the answer's own `date`; only without that by `now`
    (Unix seconds). A worker's clock that is hours behind would hold a region for hours.
    """
    if text is None:
        return None
    if _SECONDS.fullmatch(text.strip()):
        return float(text.strip())
    until, then = _unix(text), _unix(date)
    return None if until is None else max(until - (now if then is None else then), 0.0)


def _unix(text: str | None) -> float | None:
    try:
        date = parsedate_to_datetime(text or "")
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
