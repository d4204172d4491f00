"""`Producer`, the client of services. `AsyncProducer` in async_client.py has the same calls as coroutines.

When `enqueue` returns, the job is in Redis and a worker will deliver it. When `enqueue` raises StoreUnreachable, the
job may be stored or not; enqueue it again with the same idempotency key.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload

from gaugepost.admission import admit, iterate
from gaugepost.batches import add_progress, batches, by_region
from gaugepost.connection import connect, redis_url
from gaugepost.errors import IdempotencyConflict, StoreUnreachable
from gaugepost.lazy import Stream
from gaugepost.ledger import Accepted, Entry, Ledger
from gaugepost.ledger.batch_views import merged
from gaugepost.ledger.pages import PageQuery
from gaugepost.lookup import Lookup, require_key, require_keyed
from gaugepost.mappings import Mappings
from gaugepost.receipts import Receipt, Receipts
from gaugepost.results import Polling, read_result
from gaugepost.search import Search, to_ms
from gaugepost.settings import Settings
from gaugepost.together import ALONE, Together
from gaugepost.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from gaugepost.file_families import Family
    from gaugepost.jobs import JobBase
    from gaugepost.ledger import JobView
    from gaugepost.ledger.batch_views import BatchView
    from gaugepost.ledger.finding import Found
    from gaugepost.regions import Region
    from gaugepost.results import HasResult
    from gaugepost.search import By
    from gaugepost.states import JobState
    from gaugepost.together import InBatch

R = TypeVar("R")


class Producer:
    """Enqueue jobs and read what became of them. Thread-safe; close it, or use it in a `with` statement.

    A call takes at most GAUGEPOST_STORE_TIMEOUT seconds. A process opens at most 50 connections to a region's Redis.
    When all are in use, a call waits for one within that time. A forked child opens its own connections.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.load()
        self._require_redis()
        self.mappings = Mappings.of(self.settings)
        """The parsed mappings.toml; None if GAUGEPOST_MAPPINGS is not set."""
        self._ledgers: dict[tuple[int, Region], Ledger] = {}
        """Keyed by process id too: in a forked child, a lock that a thread of the parent held stays locked for ever."""

    def _require_redis(self) -> None:
        """Raise SettingsError if GAUGEPOST_REDIS_URL is not set."""
        redis_url(self.settings, self.settings.regions[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections of this process. The next call opens new ones."""
        for process, region in list(self._ledgers):
            ledger = self._ledgers.pop((process, region))
            if process == os.getpid():
                ledger.close()

    def ledger(self, region: Region) -> Ledger:
        """Return the ledger of one region."""
        key = os.getpid(), region
        if key not in self._ledgers:
            timeout = self.settings.store_timeout
            client = connect(self.settings, region, timeout=timeout)
            self._ledgers.setdefault(key, Ledger(client, region, self.settings, timeout=timeout))
        return self._ledgers[key]

    # Enqueue

    @overload
    def enqueue(self, job: HasResult[R], *, idempotency_key: str | None = None) -> Receipt[R]: ...

    @overload
    def enqueue(self, job: Mapping[str, Any], *, idempotency_key: str | None = None) -> Receipt[Any]: ...

    def enqueue(self, job: HasResult[R] | Mapping[str, Any], *, idempotency_key: str | None = None) -> Receipt[Any]:
        """Store one job for delivery, in one round trip to Redis.

        `job`: a job such as `Record(…)`, or a mapping with its `kind` and fields. `idempotency_key`: replaces the job's
        own; a second enqueue with the same key returns the first job.

        Raises InvalidJob (a wrong field, a file that cannot be sent, a record that does not fit mappings.toml, a region
        that is not in GAUGEPOST_REGIONS), IdempotencyConflict, BacklogFull, StoreFull, StoreUnreachable.
        """
        entry = self._entry(job, idempotency_key)
        accepted = self.ledger(entry.job.region).enqueue([entry])[0]
        if accepted.conflict:
            raise IdempotencyConflict(accepted.id)
        return self._receipt(entry.job.region, accepted, entry.warnings)

    def enqueue_many(
        self, jobs: Iterable[JobBase | Mapping[str, Any]], **together: Unpack[InBatch]
    ) -> Receipts[Receipt[Any]]:
        """Store any number of jobs, up to 200 in a round trip. Return their receipts, in order.

        Memory stays bounded: the call reads `jobs` bit by bit, and a receipt takes 19 bytes.

        `batch`: a name for all these jobs; it replaces their own. `canary`: send this many of them first; the others
        wait until these have ended, and go on waiting if more than `tolerance` percent (default 5) of them died, got
        no answer, or were delivered with a warning.

        Raises BatchConflict if the batch has begun with another canary, or its canary has passed or was resumed. Raises
        the errors of `enqueue`, except IdempotencyConflict: then the job's receipt has `conflict`. `accepted` of the
        error has the receipts of all stored jobs. After an InvalidJob, or an error that `jobs` itself raised, these are
        all jobs before the wrong one and none after it.
        """
        receipts, found = Receipts(self._receipt), iterate(jobs)
        entry = self._entries(Together.of(**together))
        try:
            for some in batches(found, entry):
                self._accept(some, receipts)
        except Exception as error:
            add_progress(error, receipts)
            raise
        return receipts

    def enqueue_stream(
        self, jobs: Iterable[JobBase | Mapping[str, Any]], **together: Unpack[InBatch]
    ) -> Iterator[Receipt[Any]]:
        """Store jobs while the caller iterates over their receipts: for jobs that arrive slowly or without end.

        Each job is stored before its receipt is yielded. Without iteration nothing is stored, and Python warns
        (ResourceWarning).
        """
        return Stream(self._stream(iterate(jobs), self._entries(Together.of(**together))))

    def _stream(self, jobs: Iterator[object], entry: Callable[[object], Entry]) -> Iterator[Receipt[Any]]:
        for some in batches(jobs, entry):
            receipts = Receipts(self._receipt)
            self._accept(some, receipts)
            yield from receipts

    def _entries(self, together: Together) -> Callable[[object], Entry]:
        return lambda job: self._entry(job, together=together)

    def _entry(self, job: object, idempotency_key: str | None = None, *, together: Together = ALONE) -> Entry:
        """Check a job, and read its file if it has one. Raises InvalidJob."""
        found = together.named(admit(job, self.settings, idempotency_key))
        return Entry.of(found, self.mappings, together.asks(found.region))

    def _accept(self, batch: Sequence[Entry], receipts: Receipts[Receipt[Any]]) -> None:
        """Store a batch and add its receipts, in order. When one region raises, add those of the regions before it."""
        found: dict[str, Accepted] = {}
        try:
            for region, group in by_region(batch).items():
                accepted = self.ledger(region).enqueue(group)
                found |= {entry.id: one for entry, one in zip(group, accepted, strict=True)}
        finally:
            for entry in batch:
                if entry.id in found:
                    receipts.add(entry.job.region, found[entry.id], entry.warnings)

    def _receipt(self, region: Region, accepted: Accepted, warnings: tuple[str, ...]) -> Receipt[Any]:
        one = accepted
        return Receipt(one.id, region, one.state, one.duplicate, self, warnings, one.conflict)

    # Files

    @property
    def uploads(self) -> Uploads:
        """Upload files of any length: plan, upload, view, undo."""
        return Uploads(self)

    def forecast(self, region: Region, files: int, family: Family = "transactional") -> list[int | None]:
        """Return when each of `files` further files would start: Unix ms, or None while a person holds the region."""
        return self.uploads.forecast(region, files, family)

    # Ask

    def job(self, job_id: str, *, region: Region | None = None) -> JobView:
        """Return all that is stored about one job; without `region`, search all regions.

        Raises JobNotFound. Raises StoreUnreachable if a region cannot be reached and no other region has the job.
        """
        search = Lookup(f"job {job_id}", self.settings, region)
        for one in search.regions:
            try:
                view = self.ledger(one).read([job_id])[0]
            except StoreUnreachable as error:
                search.failed(one, error)
            else:
                if view is not None:
                    return view
        raise search.not_found()

    def find(
        self,
        value: str | None = None,
        *,
        region: Region | None = None,
        limit: int = 50,
        cursor: str | None = None,
        **by: Unpack[By],
    ) -> Found:
        """Find jobs by a reference, newest first: at most `limit`, each with `matched`, the sort of the reference.

        `value`: an id or its first 8 digits, idempotency key, e-mail address, phone number, case number, label, file
        name, or CustomerGauge's number from a result. `by`: values of given sorts (`key`, `email` …), which a job must
        all have; `since` and `until`: when it was enqueued. `cursor`: the `next` of an earlier call.

        Raises InvalidQuery, StoreUnreachable.
        """
        search = Search(self.settings, value, by, region, limit)
        for one in search.regions:
            with search.asking(one):
                search.add(self.ledger(one).find(search.query, limit, cursor))
        return search.found()

    def batch(self, name: str, *, region: Region | None = None) -> BatchView:
        """Return the jobs of a batch, counted, and its canary: in all regions together. Raises JobNotFound."""
        search = Lookup(f"batch {name}", self.settings, region)
        found: dict[str, BatchView] = {}
        for one in search.regions:
            try:
                [view] = self.ledger(one).batches.read([name])
            except StoreUnreachable as error:
                search.failed(one, error)
            else:
                found |= {} if view is None else {str(one): view}
        if not found:
            raise search.not_found()
        return merged(found)

    def jobs_page(
        self,
        region: Region,
        state: JobState,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
        keep: Callable[[JobView], bool] = lambda _: True,
    ) -> Found:
        """Return a page of the jobs in one state: ended jobs by their end, latest first; others as they will be sent.

        `since` and `until`: when a job ended, or was enqueued if it has not ended. `keep`: further conditions; the call
        looks at 20,000 jobs at most. `cursor`: the `next` of the page before. Raises InvalidQuery, StoreUnreachable.
        """
        return self.ledger(region).page(PageQuery(state, to_ms(since), to_ms(until), keep), limit, cursor)

    def state(self, job_id: str, *, region: Region | None = None) -> JobState:
        """Return the current state of a job. Raises JobNotFound."""
        return self.job(job_id, region=region).state

    def timeline(self, job_id: str, *, region: Region | None = None) -> list[dict[str, Any]]:
        """Return the events of a job, oldest first: dicts with `at` (Unix ms), `event` and fields of that event."""
        return self.job(job_id, region=region).timeline()

    def cancel(self, job_id: str | None = None, *, key: str | None = None, region: Region | None = None) -> bool:
        """Cancel a job that no worker has sent. Return False if it was too late. Raises JobNotFound.

        Give its id; or `key`, its idempotency key, and `region`.
        """
        if job_id is None or key is not None:
            key, region = require_key(job_id, key, region)
            job_id = require_keyed(self.ledger(region).keyed(key), region)
        return self.ledger(self.job(job_id, region=region).region).cancel([job_id])[0][1]

    def result(self, job_id: str, timeout: float | None = None, *, region: Region | None = None) -> Any:  # noqa: ANN401 - one type a kind
        """Wait until a job is delivered, and return its result; see `Receipt.result`."""
        return read_result(self.wait(job_id, timeout, region=region))

    def wait(self, job_id: str, timeout: float | None = None, *, region: Region | None = None) -> JobView:
        """Wait up to `timeout` seconds (None: for ever) until a job has ended in any state, and return it.

        Raises ResultTimeout, JobNotFound.
        """
        polling = Polling(timeout)
        while not (view := self.job(job_id, region=region)).has_ended:
            region = view.region
            time.sleep(polling.pause(view))
        return view
