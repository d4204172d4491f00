"""Jobs that a worker cannot parse: damaged in Redis, or written by a newer version.

Such a job must not block the other jobs of its claim. The worker sets it aside: the job becomes dead, and a person can
replay it once a worker can parse it. It becomes unknown if a worker may have sent it already.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from gaugepost.errors import InvalidJob
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

T = TypeVar("T")
STAMP_DIGITS, MS_DIGITS = 17, 14
"""Digits of a time in µs and in ms, at most: the year 5138."""

UNREADABLE = (InvalidJob, ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""The errors of parsing a damaged job."""


@dataclass(frozen=True, slots=True)
class UnreadableJob:
    """A claimed job that cannot be parsed. `why`: the reason, without data. `sent`: a worker may have sent it."""

    id: str
    fence: int
    holder: str
    why: str
    sent: bool = False

    def to_json(self, at: int) -> str:
        """Return the argument of settle.lua. `at`: Unix ms."""
        entry = json.dumps({"event": "set aside", "at": at, "why": self.why})
        to = {"to": "unknown", "reason": "unreadable"} if self.sent else {"to": "dead", "verdict": Verdict.UNREADABLE}
        return json.dumps({"id": self.id, "fence": self.fence, "holder": self.holder, "entry": entry} | to)


def read_number(text: bytes | str | None, digits: int = STAMP_DIGITS) -> int | None:
    """Parse a number of a job's hash; None if it is no number or has more digits, as only a damaged job has."""
    return int(text) if text and text.isdigit() and text.isascii() and len(text) <= digits else None


def parse_number(text: Mapping[str, str], name: str, digits: int = STAMP_DIGITS) -> int:
    """Parse a number of a job's hash. Raises ValueError for one that only a damaged job has."""
    found = read_number(text[name], digits)
    if found is None:
        raise ValueError(f"{name}: expected a whole number")
    return found


def read_each(
    rows: Iterable[Sequence[bytes]], read: Callable[[Sequence[bytes]], T], sent: Callable[[Sequence[bytes]], bool]
) -> tuple[list[T], tuple[UnreadableJob, ...]]:
    """Parse each row, which begins with id, fencing token and holder. Return the values and the unreadable jobs."""
    values: list[T] = []
    unreadable: list[UnreadableJob] = []
    for row in rows:
        try:
            values.append(read(row))
        except UNREADABLE as error:
            why = f"its record cannot be read: {type(error).__name__}"
            job_id, holder = (text.decode(errors="replace") for text in (row[0], row[2]))
            unreadable.append(UnreadableJob(job_id, int(row[1]), holder, why, sent(row)))
    return values, tuple(unreadable)
