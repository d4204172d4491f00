"""What a test can do with a producer in memory: see what was enqueued, be the worker, be the trouble.

Nothing is delivered by itself. The test says how jobs end: one that is there, or all of a kind from now on. Behind it
is the worker's own way, claim and settle; so a job that no worker could take now cannot be made to end either.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, overload

from gaugepost.jobs import JOBS, JobBase, parse_job
from gaugepost.ledger import Ledger, Settlement
from gaugepost.receipts import AsyncReceipt, Receipt
from gaugepost.states import JobState
from gaugepost.testing.memory import Memory
from gaugepost.testing.outcomes import Ending, Result
from gaugepost.transitions import Dead, Decision, Parked, Requeued, Unknown
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gaugepost.ledger import Claimed, JobView
    from gaugepost.ledger.producer_calls import Intake
    from gaugepost.regions import Region
    from gaugepost.settings import Settings

K = TypeVar("K", bound=JobBase)
Which = Receipt[Any] | AsyncReceipt[Any] | JobBase | type[JobBase] | str
"""A job: its receipt, its id, or the job itself, the first such one that is open. Or a kind: all of it, from now on."""

_MANY = 10_000


class Steering:
    """What a test can do with a producer in memory, beside what a service can."""

    settings: Settings
    memory: Memory

    def _require_redis(self) -> None:
        """Need none: the store is in memory."""

    def _begin(self, beside: Steering | None) -> None:
        self.settings = self.settings.model_copy(update={"wait_replicas": 0})  # it has none
        self.memory = beside.memory if beside else Memory(self.settings.namespace)
        self.memory.show_workers()
        self._hands: dict[Region, Ledger] = {}
        self._turns = 0

    def _hand(self, region: Region) -> Ledger:
        if region not in self._hands:
            self._hands[region] = Ledger(self.memory.client, region, self.settings)
        return self._hands[region]

    # What was enqueued

    @overload
    def enqueued(self, kind: type[K], *, region: Region | str | None = None) -> list[K]: ...

    @overload
    def enqueued(self, kind: None = None, *, region: Region | str | None = None) -> list[JobBase]: ...

    def enqueued(self, kind: type[JobBase] | None = None, *, region: Region | str | None = None) -> Sequence[JobBase]:
        """Return the jobs that were accepted, whatever became of them, oldest first; of one kind, of one region.

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
        """Return the content of a file that was enqueued. Raises LookupError if it has none (any more)."""
        view = self._find(job)
        found = self._hand(view.region).content(view.id)
        if found is None:
            raise LookupError(f"job {view.id} has no content")
        return found

    def _views(self) -> list[JobView]:
        ids = self.memory.ids()
        views = [view for region in ids for view in self._hand(region).read(ids[region]) if view]
        return sorted(views, key=lambda view: view.stamp)

    def _find(self, which: Which) -> JobView:
        """Return the job that is meant. Raises LookupError."""
        if isinstance(which, JobBase):
            views = [view for view in self._views() if parse_job(view.job) == which]
            views.sort(key=lambda view: view.has_ended)
        else:
            job_id = which if isinstance(which, str) else which.id if not isinstance(which, type) else ""
            views = [view for region in self.settings.regions for view in self._hand(region).read([job_id]) if view]
        if not views:
            raise LookupError(f"no such job was enqueued: {which!r}")
        return views[0]

    # How it ends

    def deliver(self, *which: Which, result: Result | None = None, warnings: Sequence[str] = ()) -> None:
        """Let jobs be delivered, or all jobs of a kind from now on; without a `result` one is made up.

        >>> from gaugepost import PersonalLink, PersonalLinkResult, Region
        >>> from gaugepost.testing import MemoryProducer
        >>> producer = MemoryProducer()
        >>> producer.deliver(PersonalLink, result=PersonalLinkResult(survey_link="https://l", survey_link_short="https://s"))
        >>> link = PersonalLink(region=Region.US, configuration="nps", record={"Email": "a@example.com"})
        >>> producer.enqueue(link).result(timeout=30).survey_link_short
        'https://s'
        """
        self._end(which, Ending(None, result=result, warnings=tuple(warnings)))

    def kill(
        self,
        *which: Which,
        verdict: Verdict | str = Verdict.INVALID_VALUE,
        message: str = "",
        field_errors: Mapping[str, Sequence[str]] | None = None,
        status: int | None = 422,
    ) -> None:
        """Let jobs be refused for good: `result()` raises JobDead with these words."""
        verdict = Verdict(verdict)
        self._end(which, Ending(Dead(verdict), verdict, status, message, field_errors or {}))

    def park(
        self,
        *which: Which,
        seconds: float = 300,
        verdict: Verdict | str = Verdict.NO_CAMPAIGN,
        message: str = "",
        status: int | None = 422,
    ) -> None:
        """Let jobs fail in a way that is tried again, after so many seconds (see `advance`)."""
        verdict = Verdict(verdict)
        self._end(which, Ending(Parked(int(seconds * 1000), verdict), verdict, status, message))

    def lose(self, *which: Which) -> None:
        """Let answers be lost of jobs that must not go out twice: they are `unknown`, until a person settles them."""
        self._end(which, Ending(Unknown("answer lost"), Verdict.LOST_ANSWER, None))

    def expire(self, *which: Receipt[Any] | AsyncReceipt[Any] | JobBase | str) -> None:
        """Let time pass until jobs with an `expires_at` have expired unsent: `result()` raises JobExpired."""
        for view in map(self._find, which):
            if not view.job.get("expires_at"):
                raise ValueError(f"job {view.id} never expires: it has no expires_at")
            end = datetime.fromisoformat(view.job["expires_at"]).timestamp()
            self.advance(max(end - self.memory.now(), 0) + 1)
            now = self._find(view.id)
            assert now.state is JobState.EXPIRED, _why_not(now)  # noqa: S101 - it is for tests

    def advance(self, by: timedelta | float) -> None:
        """Let time pass (seconds, rounded up): what is parked comes back, jobs expire, old ones are forgotten."""
        seconds = by.total_seconds() if isinstance(by, timedelta) else by
        self.memory.advance(math.ceil(seconds))
        for region in self.memory.ids():
            self._hand(region).promote()
            self._hand(region).sweep()
            self._work(region)

    def _end(self, which: Sequence[Which], ending: Ending) -> None:
        wanted: dict[Region, set[str]] = {region: set() for region in self.memory.ids()}
        for one in which:
            if isinstance(one, type):
                ending.check(one)
                self.memory.endings[one] = ending
            else:
                view = self._find(one)
                ending.check(JOBS[view.kind])
                wanted[view.region].add(view.id)
        for region, ids in wanted.items():
            if ids:
                self._end_these(region, ids, ending)
            self._work(region)

    def _end_these(self, region: Region, ids: set[str], ending: Ending) -> None:
        done: set[str] = set()
        while more := self._turn(region, lambda claimed: ending if claimed.id in ids else None):
            done |= more  # the next one of a lane may go now
        for view in self._hand(region).read([*ids - done]):
            assert view is None, _why_not(view)  # noqa: S101 - it is for tests

    # The worker's way

    def _work(self, region: Region) -> None:
        """Do with the jobs that may go what the test said of their kinds."""
        endings = self.memory.endings
        while (
            endings
            and self.memory.has_work(region)
            and self._turn(region, lambda claimed: _of_kind(endings, claimed.job))
        ):
            pass

    def _turn(self, region: Region, ending_of: Callable[[Claimed], Ending | None]) -> set[str]:
        """Claim what a worker could have, settle what has an ending, put the rest back; return what was settled."""
        with self.memory.lock:
            ledger, now = self._hand(region), self.memory.now()
            self._turns += 1
            claimed = ledger.claim("gaugepost.testing", f"{id(self)}:{self._turns}", _MANY).jobs
            ended = [(one, ending) for one in claimed if (ending := ending_of(one))]
            done = {one.id for one, _ in ended}
            for one, _ in ended:
                if one.job.kind == "file":
                    ledger.mark(one)  # it takes the upload slot
            settlements = [ending.settlement(one, now) for one, ending in ended]
            settlements += [Settlement(one, Decision(Requeued())) for one in claimed if one.id not in done]
            if settlements:
                ledger.settle(settlements)
        return done

    # What goes wrong

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Take the store away for a while: every call raises StoreUnreachable."""
        self.memory.reachable(yes=False)
        try:
            yield
        finally:
            self.memory.reachable(yes=True)

    @contextmanager
    def full(self) -> Iterator[None]:
        """Let the backlog be full for a while: to enqueue raises BacklogFull, and nothing is stored."""
        self.memory.full = True
        try:
            yield
        finally:
            self.memory.full = False

    def _limit(self, intake: Intake) -> None:
        backlog = -1 if self.memory.full else self.settings.backlog_limit
        intake.limits = (backlog, self.settings.content_limit)


def _of_kind(endings: Mapping[type[JobBase], Ending], job: JobBase) -> Ending | None:
    return next((endings[kind] for kind in type(job).__mro__ if kind in endings), None)


def _why_not(view: JobView) -> str:
    why = f" ({view.reason})" if view.reason else ""
    return f"no worker could take job {view.id} now: it is {view.state}{why}"
