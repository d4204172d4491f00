"""Jobs whose record cannot be read: damaged in Redis, or written by a newer version than this worker's.

One of them must not take with it the parcel it came in, again and again until its lease ends. It is set aside as it
is found: dead, for a person to replay once a worker can read it; unknown, if it may have gone out already.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from gaugepost.errors import InvalidJob
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

T = TypeVar("T")
STAMP_DIGITS, MS_DIGITS = 17, 14
"""Digits of the latest times that are read, in µs and in ms: the year 5138."""

UNREADABLE = (InvalidJob, ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What reading a record can raise that is not as it was written."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A claimed job that cannot be read, and why, in words without data. `sent`: its first byte may have gone out."""

    id: str
    fence: int
    holder: str
    why: str
    sent: bool = False

    def to_json(self, at: int) -> str:
        """Write it as settle.lua takes it; `at` is Unix time in ms."""
        entry = json.dumps({"event": "set aside", "at": at, "why": self.why})
        to = {"to": "unknown", "reason": "unreadable"} if self.sent else {"to": "dead", "verdict": Verdict.UNREADABLE}
        return json.dumps({"id": self.id, "fence": self.fence, "holder": self.holder, "entry": entry} | to)


def read_number(text: bytes | str | None, digits: int = STAMP_DIGITS) -> int | None:
    """Read a number of a job's hash; None if it is none, or has more digits: its record was tampered with."""
    return int(text) if text and text.isdigit() and text.isascii() and len(text) <= digits else None


def read_each(
    rows: Iterable[Sequence[bytes]], read: Callable[[Sequence[bytes]], T], sent: Callable[[Sequence[bytes]], bool]
) -> tuple[list[T], tuple[Broken, ...]]:
    """Read each row (id, fencing token and holder come first), and say of which that failed."""
    whole: list[T] = []
    broken: list[Broken] = []
    for row in rows:
        try:
            whole.append(read(row))
        except UNREADABLE as error:
            why = f"its record cannot be read: {type(error).__name__}"
            job_id, holder = (text.decode(errors="replace") for text in (row[0], row[2]))
            broken.append(Broken(job_id, int(row[1]), holder, why, sent(row)))
    return whole, tuple(broken)
