"""Pages of the jobs in one state. A page of ended jobs costs the same at any depth: its cursor is a time and an id.

Jobs that have not ended are in several lists, in the order in which they are sent. Their cursor is a number of jobs,
and jobs that move meanwhile may be missed or repeated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from gaugepost.errors import InvalidQuery
from gaugepost.ledger.chunks import AT_ONCE
from gaugepost.ledger.finding import LOOKED_AT, Found
from gaugepost.ledger.reference_query import Place
from gaugepost.ledger.scripts import Call
from gaugepost.states import ENDED, JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gaugepost.keys import Keys
    from gaugepost.ledger.views import JobView

BY_TIME = frozenset({*ENDED, JobState.UNKNOWN})
"""The states whose jobs are ordered by the time at which they ended."""

_READ_AT_ONCE = 50
"""Jobs in one call: with 1,000 holds, a call for 200 takes Redis more than 10 ms."""
_NUMBER = re.compile(r"\d{1,12}")


@dataclass(frozen=True)
class PageQuery:
    """Jobs in one state, between two times in Unix ms: of their end, or of their enqueue if they have not ended."""

    state: JobState
    since: int | None = None
    until: int | None = None
    keep: Callable[[JobView], bool] = lambda _: True

    def matches(self, view: JobView | None) -> bool:
        """Return whether a job is still in the state, and meets all conditions."""
        if view is None or view.state is not self.state or not self.keep(view):
            return False
        at = view.enqueued_at if view.ended_at is None else view.ended_at
        return (self.since is None or at >= self.since) and (self.until is None or at <= self.until)


class Pages:
    """Reads pages of one region.

    `ids`: yields the ids in a state, behind a number of them; `call`: runs a call; `read`: reads jobs.
    """

    def __init__(
        self,
        keys: Keys,
        ids: Callable[[JobState, int], Iterator[str]],
        call: Callable[[Call[Any]], Any],
        read: Callable[[Sequence[str]], list[JobView | None]],
    ) -> None:
        self._keys, self._ids, self._call, self._read = keys, ids, call, read

    def page(self, query: PageQuery, limit: int, cursor: str | None = None, most: int | None = LOOKED_AT) -> Found:
        """Return up to `limit` jobs after the cursor. It looks at `most` jobs (None: all). Raises InvalidQuery."""
        rows, found = self._rows(query, cursor), Found()
        while chunk := list(islice(rows, _READ_AT_ONCE)):
            for (place, _), view in zip(chunk, self._read([one for _, one in chunk]), strict=True):
                found.looked_at += 1
                if query.matches(view):
                    found.append(view)  # type: ignore[arg-type]  # `matches` returns false for None
                if len(found) == limit or found.looked_at == most:
                    found.next = place
                    return found
        return found

    def _rows(self, query: PageQuery, cursor: str | None) -> Iterator[tuple[str, str]]:
        """Yield (cursor, id) of the jobs after a cursor."""
        if query.state in BY_TIME:
            after = Place.parse(cursor) if cursor else None
            return ((place.cursor, place.id) for place in self._places(query, after))
        if cursor and not _NUMBER.fullmatch(cursor):
            raise InvalidQuery("cursor: expected the `next` of an earlier page")
        skip = int(cursor or 0)
        return ((str(number), one) for number, one in enumerate(self._ids(query.state, skip), skip + 1))

    def _places(self, query: PageQuery, after: Place | None) -> Iterator[Place]:
        skip = 0
        while True:
            newest = min((at for at in (after and after.at, query.until) if at is not None), default="+inf")
            oldest = "-inf" if query.since is None else query.since
            args = [query.state, newest, oldest, skip, AT_ONCE]
            found = self._call(Call("page", (self._keys.prefix,), args, _read_places))
            for place in found:
                if after is None or place < after:
                    yield place
                    after, skip = place, 0
                else:
                    skip += 1  # several jobs may have ended in one millisecond
            if len(found) < AT_ONCE:
                return


def _read_places(answer: Sequence[bytes]) -> list[Place]:
    return [Place(int(float(at)), one.decode()) for one, at in zip(answer[::2], answer[1::2], strict=True)]
