"""`Controls`: what a test can do with a producer in memory: list its jobs, choose their outcomes, simulate failures.

No worker runs. The test chooses the outcome of single jobs, or of all jobs of a kind from now on. `SimulatedWorker`
claims and settles them. A job that a worker could not claim now cannot get an outcome either.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, overload

from gaugepost.jobs import JOBS, JobBase, parse_job
from gaugepost.receipts import AsyncReceipt, Receipt
from gaugepost.states import JobState
from gaugepost.testing.memory import Memory
from gaugepost.testing.outcomes import Outcome, Result
from gaugepost.testing.simulated_worker import SimulatedWorker, why_not_claimed
from gaugepost.transitions import Dead, Parked, Unknown
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from gaugepost.ledger import JobView
    from gaugepost.ledger.producer_calls import ProducerCalls
    from gaugepost.regions import Region
    from gaugepost.settings import Settings

K = TypeVar("K", bound=JobBase)
Which = Receipt[Any] | AsyncReceipt[Any] | JobBase | type[JobBase] | str
"""A job, by its receipt, its id, or an equal job (the oldest open one); or a kind: all its jobs, from now on."""


class Controls:
    """The calls of producers in memory for tests, in addition to those for services."""

    settings: Settings
    memory: Memory

    def _require_redis(self) -> None:
        """Accept settings without GAUGEPOST_REDIS_URL: the store is in memory."""

    def _start(self, beside: Controls | None) -> None:
        self.settings = self.settings.model_copy(update={"wait_replicas": 0})  # the store has no replicas
        self.memory = beside.memory if beside else Memory(self.settings.namespace)
        self._worker = SimulatedWorker(self.memory, self.settings)

    # What was enqueued

    @overload
    def enqueued(self, kind: type[K], *, region: Region | str | None = None) -> list[K]: ...

    @overload
    def enqueued(self, kind: None = None, *, region: Region | str | None = None) -> list[JobBase]: ...

    def enqueued(self, kind: type[JobBase] | None = None, *, region: Region | str | None = None) -> Sequence[JobBase]:
        """Return the jobs that were enqueued, in any state, oldest first; optionally of one kind or one region.

        >>> from gaugepost import Record, Region
        >>> from gaugepost.testing import MemoryProducer
        >>> producer = MemoryProducer()
        >>> job = producer.enqueue(Record(region=Region.EU, configuration="crm", record={"Email": "a@example.com"}))
        >>> [record.record for record in producer.enqueued(Record)]
        [{'Email': 'a@example.com'}]
        """
        jobs = [parse_job(view.job) for view in self._views() if region in {None, view.region}]
        return [job for job in jobs if isinstance(job, kind or JobBase)]

    def content(self, job: Receipt[Any] | AsyncReceipt[Any] | JobBase | str) -> bytes:
        """Return the content of an enqueued file. Raises LookupError if no content is stored."""
        view = self._find(job)
        found = self._worker.ledger(view.region).file_sets.content(view.id)
        if found is None:
            raise LookupError(f"job {view.id} has no content")
        return found

    def _views(self) -> list[JobView]:
        ids = self.memory.ids()
        views = [view for region in ids for view in self._worker.ledger(region).read(ids[region]) if view]
        return sorted(views, key=lambda view: view.stamp)

    def _find(self, which: Which) -> JobView:
        """Return a job by its receipt, id, or an equal job. Raises LookupError."""
        if isinstance(which, JobBase):
            views = [view for view in self._views() if parse_job(view.job) == which]
            views.sort(key=lambda view: view.has_ended)
        else:
            job_id = which if isinstance(which, str) else which.id if not isinstance(which, type) else ""
            ledgers = map(self._worker.ledger, self.settings.regions)
            views = [view for ledger in ledgers for view in ledger.read([job_id]) if view]
        if not views:
            raise LookupError(f"no such job was enqueued: {which!r}")
        return views[0]

    # Outcomes

    def deliver(self, *which: Which, result: Result | None = None, warnings: Sequence[str] = ()) -> None:
        """Deliver jobs, or all jobs of a kind from now on. Without `result` each gets a made-up one.

        >>> from gaugepost import PersonalLink, PersonalLinkResult, Region
        >>> from gaugepost.testing import MemoryProducer
        >>> producer = MemoryProducer()
        >>> producer.deliver(PersonalLink, result=PersonalLinkResult(survey_link="https://l", survey_link_short="https://s"))
        >>> link = PersonalLink(region=Region.US, configuration="nps", record={"Email": "a@example.com"})
        >>> producer.enqueue(link).result(timeout=30).survey_link_short
        'https://s'
        """
        self._apply(which, Outcome(None, result=result, warnings=tuple(warnings)))

    def kill(
        self,
        *which: Which,
        verdict: Verdict | str = Verdict.INVALID_VALUE,
        message: str = "",
        field_errors: Mapping[str, Sequence[str]] | None = None,
        status: int | None = 422,
    ) -> None:
        """Refuse jobs for good: `result()` raises JobDead with this verdict, message and field errors."""
        verdict = Verdict(verdict)
        self._apply(which, Outcome(Dead(verdict), verdict, status, message, field_errors or {}))

    def park(
        self,
        *which: Which,
        seconds: float = 300,
        verdict: Verdict | str = Verdict.NO_CAMPAIGN,
        message: str = "",
        status: int | None = 422,
    ) -> None:
        """Fail jobs so that they are tried again after this many seconds (see `advance`)."""
        verdict = Verdict(verdict)
        self._apply(which, Outcome(Parked(int(seconds * 1000), verdict), verdict, status, message))

    def lose(self, *which: Which) -> None:
        """Lose the answers of jobs that must not be sent twice: they are `unknown` until a person resolves them."""
        self._apply(which, Outcome(Unknown("answer lost"), Verdict.LOST_ANSWER, None))

    def expire(self, *which: Receipt[Any] | AsyncReceipt[Any] | JobBase | str) -> None:
        """Move the clock past `expires_at` of jobs that were not sent: `result()` raises JobExpired."""
        for view in map(self._find, which):
            if not view.job.get("expires_at"):
                raise ValueError(f"job {view.id} never expires: it has no expires_at")
            end = datetime.fromisoformat(view.job["expires_at"]).timestamp()
            self.advance(max(end - self.memory.now(), 0) + 1)
            now = self._find(view.id)
            assert now.state is JobState.EXPIRED, why_not_claimed(now)  # noqa: S101 - it is for tests

    def advance(self, by: timedelta | float) -> None:
        """Move the clock forward (seconds, rounded up): parked jobs come back, jobs expire, retention ends."""
        seconds = by.total_seconds() if isinstance(by, timedelta) else by
        self.memory.advance(math.ceil(seconds))
        for region in self.memory.ids():
            self._worker.run_ticks(region)
            self._worker.settle_kinds(region)

    def _apply(self, which: Sequence[Which], outcome: Outcome) -> None:
        wanted: dict[Region, set[str]] = {region: set() for region in self.memory.ids()}
        for one in which:
            if isinstance(one, type):
                outcome.check(one)
                self.memory.outcomes[one] = outcome
            else:
                view = self._find(one)
                outcome.check(JOBS[view.kind])
                wanted[view.region].add(view.id)
        for region, ids in wanted.items():
            if ids:
                self._worker.settle_jobs(region, ids, outcome)
            self._worker.settle_kinds(region)

    # Failures

    def unreachable(self) -> AbstractContextManager[None]:
        """Make the store unreachable within a `with` statement: every call raises StoreUnreachable."""
        return self.memory.unreachable()

    def full(self) -> AbstractContextManager[None]:
        """Make the backlog full within a `with` statement: enqueue raises BacklogFull and stores nothing."""
        return self.memory.with_full_backlog()

    def _set_limits(self, calls: ProducerCalls) -> None:
        backlog = -1 if self.memory.full else self.settings.backlog_limit
        calls.limits = (backlog, self.settings.content_limit)
