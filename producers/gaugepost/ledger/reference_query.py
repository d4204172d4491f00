"""`Query`: which jobs to find by their references; and the call that looks them up in the index."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from gaugepost.errors import InvalidQuery
from gaugepost.jobs.base import MAX_KEY
from gaugepost.ledger.references import SORTS, normalise
from gaugepost.ledger.scripts import Argument, Call

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gaugepost.encryption import Cipher
    from gaugepost.keys import Keys

_ID = re.compile(r"[0-9a-f]{8,32}")
_PHONE = re.compile(r"[0-9 ()./+-]{4,40}")
_LAST = 9_007_199_254_740_991  # the greatest whole number that Lua has exactly
_BUCKET = 4  # digits of an id that name its part of the index


class Place(NamedTuple):
    """A place in a list of jobs, newest first: after this job. `at`: µs of its enqueue, or ms of its end."""

    at: int
    id: str

    @property
    def cursor(self) -> str:
        """The place as text."""
        return f"{self.at}.{self.id}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """Parse a cursor. Raises InvalidQuery."""
        match = re.fullmatch(r"(\d{1,17})\.([0-9a-f]{32})", text)
        if match is None:
            raise InvalidQuery("cursor: expected the `next` of an earlier page")
        return cls(int(match[1]), match[2])


@dataclass(frozen=True)
class Query:
    """What to find: jobs with one of `any_of`, and all of `all_of` (sort, value), enqueued between two times in µs."""

    any_of: tuple[tuple[str, str], ...]
    all_of: tuple[tuple[str, str], ...] = ()
    since: int | None = None
    until: int | None = None

    @classmethod
    def of(cls, value: str | None, given: Mapping[str, str | None], since: float | None, until: float | None) -> Query:
        """Make a query for a value of any sort, or for values of given sorts. Times are Unix seconds.

        Raises InvalidQuery for an empty query, or a value that cannot be one of its sort.
        """
        sorts = [(sort, _checked(sort, given[sort] or "")) for sort in _BY_FEWEST if given.get(sort) is not None]
        times = [None if one is None else int(one * 1_000_000) for one in (since, until)]
        if value is not None:
            if not value.strip():
                raise InvalidQuery("expected a value to find")
            return cls(_readings(value.strip()), tuple(sorts), *times)
        if not sorts:
            raise InvalidQuery(f"expected a value, or one of {', '.join(_BY_FEWEST)}")
        return cls((sorts[0],), tuple(sorts[1:]), *times)


_BY_FEWEST = ("id", *SORTS)


def _checked(sort: str, value: str) -> str:
    found = value.strip().lower() if sort == "id" else normalise(sort, value)
    if not found or (sort == "id" and not _ID.fullmatch(found)):
        raise InvalidQuery(f"{sort}: expected {_EXPECTED.get(sort, 'a text')}")
    return found


_EXPECTED = {
    "id": "a job's id, or its first 8 digits or more",
    "email": "an e-mail address",
    "phone": "a phone number, with its digits",
    "case": "a number",
    "number": "a number",
}


def _readings(value: str) -> tuple[tuple[str, str], ...]:
    """Return all that a value may be, as (sort, normal spelling)."""
    found = {sort: normalise(sort, value) for sort in SORTS}
    if "@" not in value:
        del found["email"]
    if not _PHONE.fullmatch(value):
        del found["phone"]
    if len(value) > MAX_KEY:
        del found["key"]
    ids = (("id", value.lower()),) if _ID.fullmatch(value.lower()) else ()
    return ids + tuple((sort, normal) for sort, normal in found.items() if normal)


class Match(NamedTuple):
    """An entry of the index. `stamp`: when the job was enqueued, µs."""

    stamp: int
    id: str
    sort: str


class Matches(NamedTuple):
    """The newest matches before a place, and how many jobs the index does not have yet."""

    found: list[Match]
    unindexed: int


def find_call(keys: Keys, cipher: Cipher, query: Query, before: Place | None, limit: int) -> Call[Matches]:
    """Look up the newest jobs with one of `query.any_of` that come after the place `before`."""
    return _call(
        keys, [ask for sort, value in query.any_of for ask in _asks(sort, value, cipher)], query, before, limit
    )


def find_hashes_call(keys: Keys, sort: str, hashes: Sequence[str], before: Place | None, limit: int) -> Call[Matches]:
    """Look up the newest jobs with a reference that has one of these hashes, after the place `before`."""
    return _call(keys, [(sort, "", _ask(sort, one)) for one in hashes], Query(()), before, limit)


def _call(
    keys: Keys, asks: list[tuple[str, str, str]], query: Query, before: Place | None, limit: int
) -> Call[Matches]:
    newest = min((at for at in (before and before.at, query.until) if at is not None), default=None)
    span = (_LAST if newest is None else newest, query.since or 0)
    args: list[Argument] = [limit + 1, *span, *(ask for _, _, ask in asks)]  # one more, for the job of `before` itself
    return Call("find", (keys.prefix,), args, lambda answer: _read_matches(asks, answer, query, before, limit))


def _asks(sort: str, value: str, cipher: Cipher) -> list[tuple[str, str, str]]:
    if sort == "id":
        return [(sort, value, f"id {value[:_BUCKET]}")]
    return [(sort, value, _ask(sort, one)) for one in cipher.references(sort, value)]


def _ask(sort: str, digest: str) -> str:
    return f"{'key' if sort == 'key' else 'ref'} {digest}"


def _read_matches(
    asks: Sequence[tuple[str, str, str]], answer: list[Any], query: Query, before: Place | None, limit: int
) -> Matches:
    matches: dict[str, Match] = {}
    for (sort, value, _), flat in zip(asks, answer[1:], strict=True):
        for stamp, raw in zip(flat[::2], flat[1::2], strict=True):
            job_id = value[:_BUCKET] + raw.hex() if sort == "id" else raw.hex()
            if sort != "id" or job_id.startswith(value):
                matches.setdefault(job_id, Match(int(float(stamp)), job_id, sort))
    found = sorted((one for one in matches.values() if _in_span(one, query, before)), key=_newest_first)
    return Matches(found[:limit], int(answer[0]))


def _newest_first(match: Match) -> tuple[int, str]:
    return -match.stamp, match.id


def _in_span(match: Match, query: Query, before: Place | None) -> bool:
    if before is not None and _newest_first(match) <= (-before.at, before.id):
        return False
    return (query.since is None or match.stamp >= query.since) and (query.until is None or match.stamp <= query.until)
