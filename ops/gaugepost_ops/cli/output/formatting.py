"""Format values for people: text without control characters, times, durations, sizes."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

_LAST_DAY_MS = 253_402_214_400_000
"""The begin of the last day that has a date, 9999-12-31 in UTC: it has a local time in every time zone."""


def printable(text: str) -> str:
    r"""Escape the control characters of a text, because a terminal would obey them: `\x1b`, `\x07`, `\u202e`."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or _is_space(letter) else _escaped(letter) for letter in text)


def _is_space(letter: str) -> bool:
    return unicodedata.category(letter) == "Zs"


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


def clock(ms: float | None, *, now: datetime | None = None, seconds: bool = True) -> str:
    """Format a time (Unix ms) in local time, with the day unless it is today. None gives an empty text."""
    if ms is None:
        return ""
    moment, today = local(ms), now or datetime.now(UTC)
    same_day = moment.date() == today.astimezone().date()
    today_form = "%H:%M:%S" if seconds else "%H:%M"
    return moment.strftime(today_form if same_day else "%d %b %H:%M")


def local(ms: float) -> datetime:
    """Return a moment (Unix ms) in local time; of one in the last day of the year 9999 or later, that day's begin."""
    return datetime.fromtimestamp(min(ms, _LAST_DAY_MS) / 1000, UTC).astimezone()


def clock_iso(text: str | None) -> str:
    """Format a time that is given as ISO 8601, as `clock` does. None gives an empty text."""
    return clock(datetime.fromisoformat(text).timestamp() * 1000) if text else ""


def age(seconds: float | None) -> str:
    """Format a duration (seconds) in its two largest units: `2h 0m`. None gives an empty text."""
    if seconds is None:
        return ""
    parts: list[str] = []
    rest = int(seconds)
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        number, rest = divmod(rest, length)
        if number or parts or unit == "s":
            parts.append(f"{number}{unit}")
    return " ".join(parts[:2])


_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Format a number with its noun: `1 job`, `2,000 jobs`. `plural`: unless it only adds an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def span(seconds: float) -> str:
    """Format a duration (seconds) in its two largest units, without zeros: `1 h 20 min`, `2 h`."""
    rest, parts = round(seconds), []
    for unit, length in _UNITS:
        number, rest = divmod(rest, length)
        parts.append(f"{number} {unit}" if number else "")
    first = next((place for place, part in enumerate(parts) if part), len(parts) - 1)
    return " ".join(filter(None, parts[first : first + 2])) or "0 s"


_ROUGH_S = 120.0


def wait(due: float, now: float) -> str:
    """Format the time from `now` until `due` (both Unix ms): `in 1 h 20 min`. Seconds only in the last two minutes."""
    seconds = (due - now) / 1000
    if seconds < 1:
        return "now"
    return f"in {span(seconds if seconds < _ROUGH_S else round(seconds / 60) * 60)}"


def size(number: int) -> str:
    """Format a number of bytes. 1 MB is 1,000,000, as in CustomerGauge's limit of 2 MB for a file."""
    for unit, length in (("MB", 1_000_000), ("kB", 1_000)):
        if number >= length:
            return f"{number / length:,.1f} {unit}"
    return f"{number} B"
