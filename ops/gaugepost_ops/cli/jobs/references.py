"""The options of `jobs` that find jobs by a reference or by time, and the walk over the jobs that they find."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from gaugepost.ledger.finding import LOOKED_AT, fits
from gaugepost.ledger.holds import iso
from gaugepost.ledger.pages import BY_TIME, PageQuery
from gaugepost.ledger.reference_query import Query
from gaugepost_ops.cli.audited import name_conditions
from gaugepost_ops.cli.common import given_time, note
from gaugepost_ops.cli.jobs.filters import walk
from gaugepost_ops.cli.jobs.reference_options import given_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gaugepost.ledger import JobView, Ledger
    from gaugepost.ledger.finding import Found
    from gaugepost.states import JobState
    from gaugepost_ops.cli.common import RegionLedgers

_PAGE = 200

AllOption = Annotated[
    bool, typer.Option("--all", help=f"Look at all jobs, not only at the first {LOOKED_AT:,}, for those that match.")
]


@dataclass(frozen=True)
class Wanted:
    """Which jobs `jobs` lists, by references and times (Unix seconds). Raises InvalidQuery, Failure."""

    references: tuple[tuple[str, str], ...]
    since: float | None
    until: float | None

    @classmethod
    def of(cls, since: str | None, until: str | None, **references: str | None) -> Wanted:
        """Parse the options."""
        given = tuple((sort, given_value(value)) for sort, value in references.items() if value is not None)
        return cls(given, given_time("--since", since), given_time("--until", until))

    @property
    def narrows(self) -> bool:
        """Return whether a walk over the lists of jobs may pass jobs that are not wanted."""
        return len(self.references) > 1 or bool(not self.references and (self.since or self.until))

    def name(self) -> str:
        """Return references and times as a text for the audit trail, without the values of references: `by=email`."""
        since, until = (iso(None if one is None else one * 1000) for one in (self.since, self.until))
        return name_conditions(by=",".join(sort for sort, _ in self.references), since=since, until=until)

    def query(self) -> Query | None:
        """Return the query for the references; None without them. Raises InvalidQuery."""
        if not self.references:
            return None
        return Query.of(None, dict(self.references), self.since, self.until)

    def page_query(self, state: JobState) -> PageQuery:
        """Return the query for the jobs of a state."""
        since, until = (None if one is None else int(one * 1000) for one in (self.since, self.until))
        return PageQuery(state, since, until)

    def matches_time(self, view: JobView) -> bool:
        """Return whether a job ended, or was enqueued if it has not ended, between the two times."""
        return self.page_query(view.state).matches(view)


class Walk:
    """Yields the wanted jobs of all regions. It looks at `most` jobs (None: all), and counts them.

    Jobs with references come newest first; others by state, in the order of `states`.
    """

    def __init__(self, regions: RegionLedgers, states: Sequence[JobState], wanted: Wanted, most: int | None) -> None:
        self._regions, self._states, self._wanted, self._most = regions, states, wanted, most
        self._looked_at, self._unindexed = 0, 0
        self.stopped = False
        """Whether there are more jobs than it looked at."""

    def __iter__(self) -> Iterator[JobView]:
        """Yield the jobs. Raises InvalidQuery for a malformed reference."""
        query = self._wanted.query()
        for view in self._found(query) if query else self._walked():
            if self._looked_at == self._most:
                self.stopped = True
                return
            self._looked_at += 1
            if view.state in self._states and (fits(view, query) if query else self._wanted.matches_time(view)):
                yield view

    def _found(self, query: Query) -> Iterator[JobView]:
        first = replace(query, all_of=())
        ways = [self._found_in(ledger, first) for ledger in self._regions.ledgers()]
        return heapq.merge(*ways, key=lambda view: -view.stamp)

    def _found_in(self, ledger: Ledger, query: Query) -> Iterator[JobView]:
        for page in self._pages(ledger, partial(ledger.find, query, _PAGE)):
            self._unindexed = max(self._unindexed, page.unindexed)
            yield from page

    def _walked(self) -> Iterator[JobView]:
        for state in self._states:
            if state not in BY_TIME or self._wanted.since is self._wanted.until is None:
                yield from walk(self._regions, (state,))
                continue
            for ledger in self._regions.ledgers():
                for page in self._pages(ledger, partial(ledger.page, self._wanted.page_query(state), _PAGE)):
                    yield from page

    def _pages(self, ledger: Ledger, read: Callable[[str | None], Found]) -> Iterator[Found]:
        """Yield all pages of a region; fewer if it cannot be reached."""
        cursor: str | None = None
        while True:
            page = None
            with self._regions.skip_unreachable(ledger.region):
                page = read(cursor)
            if page is None:
                return
            yield page
            cursor = page.next
            if cursor is None:
                return

    def note(self) -> None:
        """Say on stderr what the walk may have missed."""
        if self.stopped:
            of_all = "" if self._wanted.references else f" of {self._total():,}"
            note(f"looked at {self._looked_at:,}{of_all} jobs; --all goes on")
        note_unindexed(self._unindexed)

    def _total(self) -> int:
        summaries = [ledger.summary() for ledger in self._regions.ledgers()]
        return sum(summary[state] for summary in summaries for state in self._states)


def note_unindexed(number: int) -> None:
    """Say on stderr how many jobs cannot be found yet; nothing if it is 0."""
    if number:
        note(f"{number:,} jobs may be missing: workers index them now. Try again in a few minutes")
