"""`AsyncProducer`: the calls of `Producer` as coroutines."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from gaugepost.admission import Batch, admitted, by_region, each, noted
from gaugepost.async_uploads import AsyncUploads
from gaugepost.client import Producer
from gaugepost.connection import connect_async, redis_url
from gaugepost.errors import IdempotencyConflict, StoreError, StoreUnreachable
from gaugepost.lazy import Enqueuing
from gaugepost.ledger import Accepted, Entry
from gaugepost.ledger.producer_calls import Intake
from gaugepost.ledger.scripts import AsyncRunner
from gaugepost.lookup import Lookup
from gaugepost.mappings import Mappings
from gaugepost.receipts import AsyncReceipt, Receipts
from gaugepost.results import Patience, read_result
from gaugepost.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

    import redis.asyncio

    from gaugepost.jobs import JobBase
    from gaugepost.jobs.file import Family
    from gaugepost.ledger import JobView
    from gaugepost.receipts import Receipt
    from gaugepost.regions import Region
    from gaugepost.results import Gives
    from gaugepost.states import JobState

R = TypeVar("R")


class AsyncProducer:
    """`Producer` for asyncio: the same calls, as coroutines. Use it in an `async with` statement."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.load()
        self._require_redis()
        self.mappings = Mappings.of(self.settings)
        self._regions: dict[tuple[int, Region], tuple[Intake, AsyncRunner]] = {}
        self._blocking: Producer | None = None

    def _require_redis(self) -> None:
        """Raise SettingsError if no Redis is named; see `Producer`."""
        redis_url(self.settings, self.settings.regions[0])

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close this process' connections; the next call opens them again."""
        for process, region in list(self._regions):
            _, run = self._regions.pop((process, region))
            if process == os.getpid():
                await run.client.aclose()
        if self._blocking is not None:
            self._blocking.close()

    def _region(self, region: Region) -> tuple[Intake, AsyncRunner]:
        place = os.getpid(), region
        if place not in self._regions:
            patience = self.settings.store_timeout
            runner = AsyncRunner(self._connect(region), self.settings.wait_replicas, patience)
            self._regions[place] = Intake(region, self.settings), runner
        return self._regions[place]

    def _connect(self, region: Region) -> redis.asyncio.Redis:
        return connect_async(self.settings, region, patience=self.settings.store_timeout)

    # Enqueue

    @overload
    async def enqueue(self, job: Gives[R], *, idempotency_key: str | None = None) -> AsyncReceipt[R]: ...

    @overload
    async def enqueue(self, job: Mapping[str, Any], *, idempotency_key: str | None = None) -> AsyncReceipt[Any]: ...

    async def enqueue(
        self, job: Gives[R] | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> AsyncReceipt[Any]:
        """Accept one job; see `Producer.enqueue`."""
        receipts = Receipts(self._receipt)
        await self._accept([await self._entry(job, idempotency_key)], receipts)
        if receipts[0].conflict:
            raise IdempotencyConflict(receipts[0].id)
        return receipts[0]

    def enqueue_many(
        self, jobs: Iterable[JobBase | Mapping[str, Any]]
    ) -> Enqueuing[AsyncReceipt[Any], Receipts[AsyncReceipt[Any]]]:
        """Accept any number of jobs: `receipts = await producer.enqueue_many(jobs)`; see `Producer.enqueue_many`.

        `async for receipt in producer.enqueue_many(jobs)` does what `enqueue_stream` does. Without either nothing is
        stored, and a ResourceWarning says so.
        """
        found = each(jobs)
        return Enqueuing(self._each(found), lambda: self._all(found))

    def enqueue_stream(self, jobs: Iterable[JobBase | Mapping[str, Any]]) -> AsyncIterator[AsyncReceipt[Any]]:
        """Accept any number of jobs while their receipts are taken; see `Producer.enqueue_stream`."""
        return self.enqueue_many(jobs)

    async def _all(self, jobs: Iterator[object]) -> Receipts[AsyncReceipt[Any]]:
        receipts = Receipts(self._receipt)
        try:
            async for batch in self._batches(jobs):
                await self._accept(batch, receipts)
        except Exception as error:
            noted(error, receipts)
            raise
        return receipts

    async def _each(self, jobs: Iterator[object]) -> AsyncIterator[AsyncReceipt[Any]]:
        async for batch in self._batches(jobs):
            receipts = Receipts(self._receipt)
            await self._accept(batch, receipts)
            for receipt in receipts:
                yield receipt

    async def _entry(self, job: object, idempotency_key: str | None = None) -> Entry:
        """Check a job; a file is read off the event loop."""
        found = admitted(job, self.settings, idempotency_key)
        if found.kind == "file":
            return await asyncio.to_thread(Entry.of, found)
        return Entry.of(found, self.mappings)

    async def _batches(self, jobs: Iterator[object]) -> AsyncIterator[Batch]:
        while (batch := await self._filled(jobs)).is_full:
            yield batch
        if batch:
            yield batch
        if batch.error is not None:
            raise batch.error

    async def _filled(self, jobs: Iterator[object]) -> Batch:
        batch = Batch()
        try:
            for job in jobs:
                if not batch.takes(await self._entry(job)):
                    break
        except Exception as error:  # noqa: BLE001 - it is raised as soon as the batch is accepted
            batch.error = error
        return batch

    async def _accept(self, batch: list[Entry], receipts: Receipts[AsyncReceipt[Any]]) -> None:
        """Accept a batch and add its receipts, in order; where a region fails, those of the others."""
        found: dict[str, Accepted] = {}
        try:
            for region, group in by_region(batch).items():
                intake, run = self._region(region)
                accepted = await run(intake.enqueue(group))
                found |= {entry.id: one for entry, one in zip(group, accepted, strict=True)}
                if report := intake.report(group):
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
        """Files of any length: plan, upload, follow, undo. A thread does the work: it reads files."""
        if self._blocking is None:
            self._blocking = self._make_blocking()
        return AsyncUploads(self._blocking.uploads, self._asynchronous)

    def _make_blocking(self) -> Producer:
        return Producer(self.settings)

    def _asynchronous(self, one: Receipt[Any]) -> AsyncReceipt[Any]:
        return AsyncReceipt(one.id, one.region, one.accepted_as, one.duplicate, self, one.warnings, one.conflict)

    async def forecast(self, region: Region, files: int, family: Family = "transactional") -> list[int | None]:
        """Return when each of `files` more files would start (Unix ms; None: a person holds the region)."""
        return await self.uploads.forecast(region, files, family)

    # Ask

    async def job(self, job_id: str, *, region: Region | None = None) -> JobView:
        """Return everything about one job; see `Producer.job`."""
        search = Lookup(f"job {job_id}", self.settings, region)
        for one in search.regions:
            intake, run = self._region(one)
            try:
                view = (await run(intake.read([job_id])))[0]
            except StoreUnreachable as error:
                search.failed(one, error)
            else:
                if view is not None:
                    return view
        raise search.not_found()

    async def state(self, job_id: str, *, region: Region | None = None) -> JobState:
        """Return a job's state now. Raises JobNotFound."""
        return (await self.job(job_id, region=region)).state

    async def timeline(self, job_id: str, *, region: Region | None = None) -> list[dict[str, Any]]:
        """Return what happened to a job so far, oldest first."""
        return (await self.job(job_id, region=region)).timeline()

    async def cancel(self, job_id: str, *, region: Region | None = None) -> bool:
        """Cancel a job if it has not been sent; False if it was too late. Raises JobNotFound."""
        intake, run = self._region((await self.job(job_id, region=region)).region)
        return (await run(intake.cancel([job_id], int(time.time() * 1000), "")))[0][1]

    async def result(
        self,
        job_id: str,
        timeout: float | None = None,  # noqa: ASYNC109 - as Producer's
        *,
        region: Region | None = None,
    ) -> Any:  # noqa: ANN401 - one type a kind
        """Wait until a job is delivered and return its result; see `Receipt.result`."""
        return read_result(await self.wait(job_id, timeout, region=region))

    async def wait(
        self,
        job_id: str,
        timeout: float | None = None,  # noqa: ASYNC109 - as Producer's
        *,
        region: Region | None = None,
    ) -> JobView:
        """Wait until a job has ended, one way or another. Raises ResultTimeout, JobNotFound."""
        patience = Patience(timeout)
        while not (view := await self.job(job_id, region=region)).has_ended:
            region = view.region
            await asyncio.sleep(patience.pause(view))
        return view
