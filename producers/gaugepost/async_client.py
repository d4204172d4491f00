"""`AsyncProducer`: the calls of `Producer` as coroutines."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload

from gaugepost.admission import admit, iterate
from gaugepost.async_uploads import AsyncUploads
from gaugepost.batches import add_progress, async_batches, by_region
from gaugepost.client import Producer
from gaugepost.connection import connect_async, redis_url
from gaugepost.errors import IdempotencyConflict, StoreError, StoreUnreachable
from gaugepost.lazy import Enqueuing
from gaugepost.ledger import Accepted, Entry
from gaugepost.ledger.finding import find, run_async
from gaugepost.ledger.producer_calls import ProducerCalls
from gaugepost.ledger.scripts import AsyncRunner
from gaugepost.lookup import Lookup, require_key, require_keyed
from gaugepost.mappings import Mappings
from gaugepost.receipts import AsyncReceipt, Receipts
from gaugepost.results import Polling, read_result
from gaugepost.search import Search
from gaugepost.settings import Settings
from gaugepost.together import ALONE, Together

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping

    import redis.asyncio

    from gaugepost.file_families import Family
    from gaugepost.jobs import JobBase
    from gaugepost.ledger import JobView
    from gaugepost.ledger.batch_views import BatchView
    from gaugepost.ledger.finding import Found
    from gaugepost.receipts import Receipt
    from gaugepost.regions import Region
    from gaugepost.results import HasResult
    from gaugepost.search import By
    from gaugepost.states import JobState
    from gaugepost.together import InBatch

R = TypeVar("R")


class AsyncProducer:
    """`Producer` for asyncio: the same calls, as coroutines. Use it in an `async with` statement."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.load()
        self._require_redis()
        self.mappings = Mappings.of(self.settings)
        self._regions: dict[tuple[int, Region], tuple[ProducerCalls, AsyncRunner]] = {}
        self._blocking: Producer | None = None

    def _require_redis(self) -> None:
        """Raise SettingsError if GAUGEPOST_REDIS_URL is not set."""
        redis_url(self.settings, self.settings.regions[0])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections of this process. The next call opens new ones."""
        for process, region in list(self._regions):
            _, run = self._regions.pop((process, region))
            if process == os.getpid():
                await run.client.aclose()
        if self._blocking is not None:
            self._blocking.close()

    def _region(self, region: Region) -> tuple[ProducerCalls, AsyncRunner]:
        key = os.getpid(), region
        if key not in self._regions:
            timeout = self.settings.store_timeout
            runner = AsyncRunner(self._connect(region), self.settings.wait_replicas, timeout)
            self._regions[key] = ProducerCalls(region, self.settings), runner
        return self._regions[key]

    def _connect(self, region: Region) -> redis.asyncio.Redis:
        return connect_async(self.settings, region, timeout=self.settings.store_timeout)

    # Enqueue

    @overload
    async def enqueue(self, job: HasResult[R], *, idempotency_key: str | None = None) -> AsyncReceipt[R]: ...

    @overload
    async def enqueue(self, job: Mapping[str, Any], *, idempotency_key: str | None = None) -> AsyncReceipt[Any]: ...

    async def enqueue(
        self, job: HasResult[R] | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> AsyncReceipt[Any]:
        """Store one job for delivery; see `Producer.enqueue`."""
        receipts = Receipts(self._receipt)
        await self._accept([await self._entry(job, idempotency_key)], receipts)
        if receipts[0].conflict:
            raise IdempotencyConflict(receipts[0].id)
        return receipts[0]

    def enqueue_many(
        self, jobs: Iterable[JobBase | Mapping[str, Any]], **together: Unpack[InBatch]
    ) -> Enqueuing[AsyncReceipt[Any], Receipts[AsyncReceipt[Any]]]:
        """Store any number of jobs: `receipts = await producer.enqueue_many(jobs)`; see `Producer.enqueue_many`.

        `async for receipt in producer.enqueue_many(jobs)` works as `enqueue_stream`. A call that is neither awaited nor
        iterated stores nothing, and Python warns (ResourceWarning).
        """
        found, entry = iterate(jobs), self._entries(Together.of(**together))
        return Enqueuing(self._stream(found, entry), lambda: self._all(found, entry))

    def enqueue_stream(
        self, jobs: Iterable[JobBase | Mapping[str, Any]], **together: Unpack[InBatch]
    ) -> AsyncIterator[AsyncReceipt[Any]]:
        """Store jobs while the caller iterates over their receipts; see `Producer.enqueue_stream`."""
        return self.enqueue_many(jobs, **together)

    async def _all(
        self, jobs: Iterator[object], entry: Callable[[object], Awaitable[Entry]]
    ) -> Receipts[AsyncReceipt[Any]]:
        receipts = Receipts(self._receipt)
        try:
            async for some in async_batches(jobs, entry):
                await self._accept(some, receipts)
        except Exception as error:
            add_progress(error, receipts)
            raise
        return receipts

    async def _stream(
        self, jobs: Iterator[object], entry: Callable[[object], Awaitable[Entry]]
    ) -> AsyncIterator[AsyncReceipt[Any]]:
        async for some in async_batches(jobs, entry):
            receipts = Receipts(self._receipt)
            await self._accept(some, receipts)
            for receipt in receipts:
                yield receipt

    def _entries(self, together: Together) -> Callable[[object], Awaitable[Entry]]:
        return lambda job: self._entry(job, together=together)

    async def _entry(self, job: object, idempotency_key: str | None = None, *, together: Together = ALONE) -> Entry:
        """Check a job. A thread reads its file, if it has one. Raises InvalidJob."""
        found = together.named(admit(job, self.settings, idempotency_key))
        if found.kind == "file":
            return await asyncio.to_thread(Entry.of, found, None, together.asks(found.region))
        return Entry.of(found, self.mappings, together.asks(found.region))

    async def _accept(self, batch: list[Entry], receipts: Receipts[AsyncReceipt[Any]]) -> None:
        """Store a batch and add its receipts, in order. When one region raises, add those of the regions before it."""
        found: dict[str, Accepted] = {}
        try:
            for region, group in by_region(batch).items():
                calls, run = self._region(region)
                accepted = await run(calls.enqueue(group))
                found |= {entry.id: one for entry, one in zip(group, accepted, strict=True)}
                if report := calls.report(group):
                    with suppress(StoreError):
                        await run(report)
        finally:
            for entry in batch:
                if entry.id in found:
                    receipts.add(entry.job.region, found[entry.id], entry.warnings)

    def _receipt(self, region: Region, accepted: Accepted, warnings: tuple[str, ...]) -> AsyncReceipt[Any]:
        one = accepted
        return AsyncReceipt(one.id, region, one.state, one.duplicate, self, warnings, one.conflict)

    # Files

    @property
    def uploads(self) -> AsyncUploads:
        """Upload files of any length: plan, upload, view, undo. The calls run in a thread, because they read files."""
        return AsyncUploads(self._in_thread().uploads, self._asynchronous)

    def _in_thread(self) -> Producer:
        if self._blocking is None:
            self._blocking = self._make_blocking()
        return self._blocking

    def _make_blocking(self) -> Producer:
        return Producer(self.settings)

    def _asynchronous(self, one: Receipt[Any]) -> AsyncReceipt[Any]:
        return AsyncReceipt(one.id, one.region, one.accepted_as, one.duplicate, self, one.warnings, one.conflict)

    async def forecast(self, region: Region, files: int, family: Family = "transactional") -> list[int | None]:
        """Return when each of `files` further files would start; see `Producer.forecast`."""
        return await self.uploads.forecast(region, files, family)

    # Ask

    async def job(self, job_id: str, *, region: Region | None = None) -> JobView:
        """Return all that is stored about one job; see `Producer.job`."""
        search = Lookup(f"job {job_id}", self.settings, region)
        for one in search.regions:
            calls, run = self._region(one)
            try:
                view = (await run(calls.read([job_id])))[0]
            except StoreUnreachable as error:
                search.failed(one, error)
            else:
                if view is not None:
                    return view
        raise search.not_found()

    async def find(
        self,
        value: str | None = None,
        *,
        region: Region | None = None,
        limit: int = 50,
        cursor: str | None = None,
        **by: Unpack[By],
    ) -> Found:
        """Find jobs by a reference, newest first; see `Producer.find`."""
        search = Search(self.settings, value, by, region, limit)
        for one in search.regions:
            with search.asking(one):
                calls, run = self._region(one)
                search.add(await run_async(find(calls, search.query, limit, cursor), run))
        return search.found()

    async def batch(self, name: str, *, region: Region | None = None) -> BatchView:
        """Return the jobs of a batch, counted; see `Producer.batch`. The call runs in a thread."""
        return await asyncio.to_thread(self._in_thread().batch, name, region=region)

    async def jobs_page(self, region: Region, state: JobState, **how: Any) -> Found:  # noqa: ANN401
        """Return a page of the jobs in one state; see `Producer.jobs_page`. The call runs in a thread."""
        return await asyncio.to_thread(self._in_thread().jobs_page, region, state, **how)

    async def state(self, job_id: str, *, region: Region | None = None) -> JobState:
        """Return the current state of a job. Raises JobNotFound."""
        return (await self.job(job_id, region=region)).state

    async def timeline(self, job_id: str, *, region: Region | None = None) -> list[dict[str, Any]]:
        """Return the events of a job, oldest first; see `Producer.timeline`."""
        return (await self.job(job_id, region=region)).timeline()

    async def cancel(self, job_id: str | None = None, *, key: str | None = None, region: Region | None = None) -> bool:
        """Cancel a job that no worker has sent; see `Producer.cancel`."""
        if job_id is None or key is not None:
            key, region = require_key(job_id, key, region)
            calls, run = self._region(region)
            job_id = require_keyed(await run(calls.keyed(key)), region)
        calls, run = self._region((await self.job(job_id, region=region)).region)
        return (await run(calls.cancel([job_id], int(time.time() * 1000), "")))[0][1]

    async def result(
        self,
        job_id: str,
        timeout: float | None = None,  # noqa: ASYNC109 - as Producer's
        *,
        region: Region | None = None,
    ) -> Any:  # noqa: ANN401 - one type a kind
        """Wait until a job is delivered, and return its result; see `Receipt.result`."""
        return read_result(await self.wait(job_id, timeout, region=region))

    async def wait(
        self,
        job_id: str,
        timeout: float | None = None,  # noqa: ASYNC109 - as Producer's
        *,
        region: Region | None = None,
    ) -> JobView:
        """Wait until a job has ended in any state, and return it; see `Producer.wait`."""
        polling = Polling(timeout)
        while not (view := await self.job(job_id, region=region)).has_ended:
            region = view.region
            await asyncio.sleep(polling.pause(view))
        return view
