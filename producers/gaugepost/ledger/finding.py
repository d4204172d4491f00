"""Find jobs by their references, newest first, a page at a time.

`find` is a generator of calls, so that the blocking and the asyncio ledger share it: it yields each `Call` and receives
its answer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gaugepost.ledger.chunks import AT_ONCE
from gaugepost.ledger.indexing import ARRIVALS_AT_ONCE, MOST_ARRIVALS, arrive_call
from gaugepost.ledger.reference_query import Matches, Place, Query
from gaugepost.ledger.references import values_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterator

    from gaugepost.ledger.producer_calls import ProducerCalls
    from gaugepost.ledger.scripts import Call
    from gaugepost.ledger.views import JobView

LOOKED_AT = 20_000
"""How many jobs a call looks at, at most, for those that meet all conditions."""


class Found(list["JobView"]):
    """Jobs, newest first; each has `matched`, the sort of the reference by which it was found.

    `next`: the cursor with which the list continues; None at its end. `looked_at`: how many jobs were compared with all
    conditions. `unindexed`: how many jobs cannot be found yet, because workers still index them.
    `not_asked`: regions that could not be reached.
    """

    next: str | None = None
    looked_at = 0
    unindexed = 0
    not_asked: tuple[str, ...] = ()


if TYPE_CHECKING:
    Steps = Generator[Call[Any], Any, Found]


def find(
    calls: ProducerCalls,
    query: Query,
    limit: int,
    cursor: str | None = None,
    keep: Callable[[JobView], bool] = lambda _: True,
    most: int | None = LOOKED_AT,
) -> Steps:
    """Find up to `limit` jobs that match the query and for which `keep` returns true. Yields calls, receives answers.

    It looks at `most` jobs (None: all). If more are left then, `next` says where to continue.
    """
    yield from _index_arrivals(calls)
    rows, before = Found(), Place.parse(cursor) if cursor else None
    while most is None or rows.looked_at < most:
        step = min(AT_ONCE, max(limit - len(rows), 20))
        matches: Matches = yield calls.find(query, before, step)
        rows.unindexed = matches.unindexed
        views: dict[str, JobView | None] = {}
        while len(views) < len(matches.found):
            ids = [one.id for one in matches.found[len(views) :]]
            some: list[JobView | None] = yield calls.read(ids)
            views |= zip(ids, some, strict=False)
        for match in matches.found:
            before, view = Place(match.stamp, match.id), views[match.id]
            rows.looked_at += 1
            if view is not None and fits(view, query) and keep(view):
                rows.append(replace(view, matched=match.sort, stamp=match.stamp))
            if len(rows) == limit:
                rows.next = before.cursor
                return rows
        if len(matches.found) < step:
            return rows
    rows.next = before and before.cursor
    return rows


def _index_arrivals(calls: ProducerCalls) -> Generator[Call[int], int, None]:
    """Bring arrivals into the index first, because workers do that once in a second only."""
    for _ in range(MOST_ARRIVALS // ARRIVALS_AT_ONCE):
        done = yield arrive_call(calls.keys)
        if done < ARRIVALS_AT_ONCE:
            return


def run(steps: Steps, call: Callable[[Call[Any]], Any]) -> Found:
    """Run all steps on a blocking client."""
    try:
        step = next(steps)
        while True:
            step = steps.send(call(step))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


async def run_async(steps: Steps, call: Callable[[Call[Any]], Awaitable[Any]]) -> Found:
    """Run all steps on an asyncio client."""
    try:
        step = next(steps)
        while True:
            step = steps.send(await call(step))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def fits(view: JobView, query: Query) -> bool:
    """Return whether a job has what the query asks for.

    The index is not enough: a worker of an older version edits a job without it. Encrypted jobs cannot be compared.
    """
    if view.sealed:
        return not query.all_of
    has = {
        *values_of(view.job.get, view.result),
        *(("id", value) for value in _ids_in(query) if view.id.startswith(value)),
    }
    return has.issuperset(query.all_of) and not has.isdisjoint(query.any_of)


def _ids_in(query: Query) -> Iterator[str]:
    return (value for sort, value in (*query.any_of, *query.all_of) if sort == "id")
