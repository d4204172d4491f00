"""Read Retry-After, which holds seconds or an HTTP date."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gaugepost_tasks.http_messages import Answer

_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]+)?")


def requested_wait(answer: Answer, now: float) -> float | None:
    """Return the wait in seconds that an answer asks for; None without one. `now`: Unix time in seconds."""
    return read_retry_after(answer.headers.get("retry-after"), now, answer.headers.get("date"))


def read_retry_after(text: str | None, now: float, date: str | None = None) -> float | None:
    """Return the wait in seconds; None if the text is neither seconds nor an HTTP date.

    A date follows the server's clock, so it is compared with the answer's own Date header `date`. Only without that
    header is it compared with `now` (Unix time in seconds): a worker's clock that is hours late would hold a region
    for hours.
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
