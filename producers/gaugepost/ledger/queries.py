"""`Queries`: the calls of a ledger that find jobs: by reference, and by state and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaugepost.ledger.finding import Found, find, run
from gaugepost.ledger.pages import PageQuery, Pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gaugepost.keys import Keys
    from gaugepost.ledger.producer_calls import ProducerCalls
    from gaugepost.ledger.reference_query import Query
    from gaugepost.ledger.scripts import Runner
    from gaugepost.ledger.views import JobView
    from gaugepost.states import JobState


class Queries:
    """A part of `Ledger`, which has all else."""

    producer_calls: ProducerCalls
    _run: Runner

    if TYPE_CHECKING:

        @property
        def keys(self) -> Keys: ...
        def ids(self, state: JobState) -> Iterator[str]: ...
        def read(self, ids: Sequence[str]) -> list[JobView | None]: ...

    def find(self, query: Query, limit: int, cursor: str | None = None, **how: Any) -> Found:  # noqa: ANN401
        """Return the newest jobs that match a query; see `finding.find`."""
        return run(find(self.producer_calls, query, limit, cursor, **how), self._run)

    def page(self, query: PageQuery, limit: int, cursor: str | None = None, **how: Any) -> Found:  # noqa: ANN401
        """Return a page of the jobs in one state; see `pages.Pages.page`."""
        return Pages(self.keys, self.ids, self._run, self.read).page(query, limit, cursor, **how)
