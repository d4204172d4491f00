"""Write values for people: text without control characters, times, lengths of time, sizes."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime


def printable(text: str) -> str:
    r"""Escape what a terminal would obey in text that came from outside: `\x1b`, `\x07`, `\u202e`."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or _is_space(letter) else _escaped(letter) for letter in text)


def _is_space(letter: str) -> bool:
    return unicodedata.category(letter) == "Zs"


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


def clock(ms: float | None, *, now: datetime | None = None, seconds: bool = True) -> str:
    """Write a time for people: local, with the day unless it is today."""
    if ms is None:
        return ""
    moment, today = datetime.fromtimestamp(ms / 1000, UTC).astimezone(), now or datetime.now(UTC)
    same_day = moment.date() == today.astimezone().date()
    today_form = "%H:%M:%S" if seconds else "%H:%M"
    return moment.strftime(today_form if same_day else "%d %b %H:%M")


def clock_iso(text: str | None) -> str:
    """Write a time that comes as ISO 8601 for people."""
    return clock(datetime.fromisoformat(text).timestamp() * 1000) if text else ""


def age(seconds: float | None) -> str:
    """Write a length of time for people, in its two largest units."""
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


def span(seconds: float) -> str:
    """Write a length of time for people, in its two largest units that are not nothing: `1 h 20 min`."""
    rest, parts = round(seconds), []
    for unit, length in _UNITS:
        number, rest = divmod(rest, length)
        parts.append(f"{number} {unit}" if number else "")
    first = next((place for place, part in enumerate(parts) if part), len(parts) - 1)
    return " ".join(filter(None, parts[first : first + 2])) or "0 s"


_ROUGH_S = 120.0


def wait(due: float, now: float) -> str:
    """Write how long it is to a later time (both Unix ms): `in 1 h 20 min`, seconds only in the last two minutes."""
    seconds = (due - now) / 1000
    if seconds < 1:
        return "now"
    return f"in {span(seconds if seconds < _ROUGH_S else round(seconds / 60) * 60)}"


def size(number: int) -> str:
    """Write a number of bytes for people, as CustomerGauge's limit of 2,000,000 is meant: 1 MB is 1,000,000."""
    for unit, length in (("MB", 1_000_000), ("kB", 1_000)):
        if number >= length:
            return f"{number / length:,.1f} {unit}"
    return f"{number} B"
