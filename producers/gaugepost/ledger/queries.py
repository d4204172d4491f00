"""`Queries`: the calls of a ledger that find jobs: by idempotency key, by reference, and by state and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaugepost.ledger.batch_views import Batches
from gaugepost.ledger.erasing import Erasure
from gaugepost.ledger.finding import Found, find, run
from gaugepost.ledger.job_sets import due_times, files_in
from gaugepost.ledger.neighbours import read_neighbours
from gaugepost.ledger.pages import PageQuery, Pages

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import redis

    from gaugepost.keys import Keys
    from gaugepost.ledger.key_prefix import CurrentKeys
    from gaugepost.ledger.listing import Listing
    from gaugepost.ledger.operations import Operations
    from gaugepost.ledger.producer_calls import ProducerCalls
    from gaugepost.ledger.reference_query import Query
    from gaugepost.ledger.scripts import Runner
    from gaugepost.ledger.views import JobView
    from gaugepost.states import JobState


class Queries:
    """A part of `Ledger`, which has all else."""

    producer_calls: ProducerCalls
    operations: Operations
    _run: Runner
    _client: redis.Redis
    _current_keys: CurrentKeys

    if TYPE_CHECKING:

        @property
        def keys(self) -> Keys: ...
        @property
        def _listing(self) -> Listing: ...
        def read(self, ids: Sequence[str]) -> list[JobView | None]: ...

    @property
    def erasure(self) -> Erasure:
        """The calls that erase a person."""
        return Erasure(self._client, self._run, self.producer_calls, self._current_keys, self.operations)

    @property
    def batches(self) -> Batches:
        """The calls that read batches."""
        return Batches(self._client, self._current_keys)

    def keyed(self, key: str) -> str | None:
        """Return the id of the job with this idempotency key; None if there is none. The job may be deleted."""
        return self._run(self.producer_calls.keyed(key))

    def neighbours(self, job_id: str) -> tuple[list[str], list[str]]:
        """Return the ids of the jobs just before and just after a job in its lane; none if it is in no lane."""
        return read_neighbours(self._client, self.keys, job_id)

    def ids(self, state: JobState, skip: int = 0) -> Iterator[str]:
        """Yield the ids of all jobs in a state, read in steps. A job that moves meanwhile may be missed or repeated.

        `skip`: leave out so many of the first ones, without reading them.
        """
        return self._listing.ids(state, skip)

    def files_in(self, states: Collection[JobState]) -> list[str]:
        """Return the ids of files in states in which gaugepost still needs the content of a file."""
        return files_in(self._client, self.keys, states)

    def due_times(self) -> Iterator[tuple[str, int]]:
        """Yield the parked jobs that wait for a time, soonest first, each with that time in Unix ms."""
        return due_times(self._client, self.keys)

    def find(self, query: Query, limit: int, cursor: str | None = None, **how: Any) -> Found:  # noqa: ANN401
        """Return the newest jobs that match a query; see `finding.find`."""
        return run(find(self.producer_calls, query, limit, cursor, **how), self._run)

    def page(self, query: PageQuery, limit: int, cursor: str | None = None, **how: Any) -> Found:  # noqa: ANN401
        """Return a page of the jobs in one state; see `pages.Pages.page`."""
        return Pages(self.keys, self.ids, self._run, self.read).page(query, limit, cursor, **how)
