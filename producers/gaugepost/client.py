"""What services use: `Producer`, and `AsyncProducer` with the same calls as coroutines.

An enqueue that returns was accepted: the job is in Redis and somebody will look. One that raises StoreUnreachable may
have been accepted all the same; sending it again with the same idempotency key is safe.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar, cast

from pydantic import ValidationError

from gaugepost.connection import connect, connect_async, redis_url
from gaugepost.errors import (
    DataSealed,
    InvalidJob,
    JobCancelled,
    JobDead,
    JobExpired,
    JobNotFound,
    Problem,
    ResultLost,
    ResultTimeout,
    StoreError,
)
from gaugepost.jobs import JOBS
from gaugepost.jobs.common import MAX_KEY, is_utf8
from gaugepost.jobs.refusal import NOT_UTF8
from gaugepost.ledger import Accepted, Entry, JobView, Ledger
from gaugepost.ledger.intake import Intake
from gaugepost.ledger.scripts import AsyncRunner
from gaugepost.mappings import Mappings
from gaugepost.settings import Settings
from gaugepost.states import JobState
from gaugepost.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

    import redis.asyncio
    from pydantic import BaseModel

    from gaugepost.jobs import JobBase
    from gaugepost.jobs.file import Family
    from gaugepost.regions import Region

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

BATCH = 200
_BATCH_BYTES = 4_000_000
"""Jobs in one call of `enqueue_many`, and bytes after which it takes no more: one round trip a region."""
_FIRST_LOOK_S, _LAST_LOOK_S = 0.01, 0.25


class Gives(Protocol[R_co]):
    """A job whose result is an R: what ties `enqueue(PersonalLink(…))` to `PersonalLinkResult`."""

    def read_result(self, data: dict[str, Any]) -> R_co:
        """Read the result as the ledger keeps it."""
        ...


def _with_key(job: JobBase, idempotency_key: str | None) -> JobBase:
    if idempotency_key is None:
        return job
    if not 0 < len(idempotency_key) <= MAX_KEY:
        raise InvalidJob([Problem("idempotency_key", f"expected 1 to {MAX_KEY} characters")])
    if not is_utf8(idempotency_key):
        raise InvalidJob([Problem("idempotency_key", NOT_UTF8)])
    return job.model_copy(update={"idempotency_key": idempotency_key})


def _read_result(view: JobView) -> Any:  # noqa: ANN401 - one type a kind; Receipt gives it its name
    """Return the result of an ended job; raise for one that ended otherwise; None for one that goes on."""
    match view.state:
        case JobState.DELIVERED if view.sealed and view.result is None:
            raise DataSealed(view.sealed)
        case JobState.DELIVERED:
            return JOBS[view.kind].read_result(view.result) if view.result else _empty_result(view)
        case JobState.DEAD:
            attempts = view.history.attempts()
            message, errors = (attempts[-1].message, attempts[-1].field_errors) if attempts else ("", {})
            raise JobDead(view.id, view.verdict or "", message, errors)
        case JobState.CANCELLED:
            raise JobCancelled(f"job {view.id} was cancelled")
        case JobState.EXPIRED:
            raise JobExpired(f"job {view.id} expired before it was sent")
        case _:
            return None


def _empty_result(view: JobView) -> BaseModel:
    """Return the result of a job that was answered with nothing. Raises ResultLost where only a person knows of it."""
    try:
        return JOBS[view.kind].read_result({})
    except ValidationError:
        told = "a person settled it as delivered; CustomerGauge's answer to it was lost"
        raise ResultLost(f"job {view.id} has no result: {told}") from None


class _Batch(list[Entry]):
    """Jobs that go in one call: many, or few large ones."""

    size = 0

    def takes(self, entry: Entry) -> bool:
        """Add one; tell whether there is room for more."""
        self.append(entry)
        self.size += entry.size
        return len(self) < BATCH and self.size < _BATCH_BYTES


def _by_region(entries: Sequence[Entry]) -> dict[Region, list[Entry]]:
    groups: dict[Region, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.job.region, []).append(entry)
    return groups


@dataclass(frozen=True, slots=True)
class Receipt(Generic[R]):
    """An accepted job. `duplicate`: its idempotency key had been used before, and this is that first job.

    `warnings`: what of its record does not fit its mapping in mappings.toml; names of fields only.
    """

    id: str
    region: Region
    accepted_as: JobState
    duplicate: bool
    _producer: Producer
    warnings: tuple[str, ...] = ()

    def state(self) -> JobState:
        """Return its state now."""
        return self._producer.state(self.id)

    def timeline(self) -> list[dict[str, Any]]:
        """Return what happened to it so far, oldest first."""
        return self._producer.timeline(self.id)

    def cancel(self) -> bool:
        """Cancel it if it has not been sent; False if it was too late."""
        return self._producer.cancel(self.id)

    def result(self, timeout: float | None = None) -> R:
        """Wait up to `timeout` seconds (None: for ever) until it is delivered, and return what CustomerGauge said.

        Raises JobDead (verdict, message, field errors), JobCancelled, JobExpired, ResultTimeout, DataSealed.
        """
        return cast("R", self._producer.result(self.id, timeout))


class Producer:
    """Enqueues jobs and asks after them. Thread-safe; close it, or use it in a `with` statement."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.load()
        self._require_redis()
        self.mappings = Mappings.of(self.settings)
        """What mappings.toml says; None without the setting MAPPINGS."""
        self._ledgers: dict[tuple[int, Region], Ledger] = {}
        """By process too: a forked child would wait for ever for a lock that a thread of its parent held."""

    def _require_redis(self) -> None:
        """Raise SettingsError if no Redis is named: no job is accepted where no worker looks."""
        redis_url(self.settings, self.settings.regions[0])

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close this process' connections; the next call opens them again."""
        for process, region in list(self._ledgers):
            ledger = self._ledgers.pop((process, region))
            if process == os.getpid():
                ledger.close()

    def ledger(self, region: Region) -> Ledger:
        """Return one region of the ledger."""
        place = os.getpid(), region
        if place not in self._ledgers:
            self._ledgers.setdefault(place, Ledger(connect(self.settings, region), region, self.settings))
        return self._ledgers[place]

    def enqueue(self, job: Gives[R], *, idempotency_key: str | None = None) -> Receipt[R]:
        """Accept one job: one script, one round trip.

        Raises InvalidJob (a file that is not fit to send, a record that does not fit its mapping in mappings.toml),
        BacklogFull, StoreFull, StoreUnreachable.
        """
        entry = Entry.of(_with_key(cast("JobBase", job), idempotency_key), self.mappings)
        accepted = self.ledger(entry.job.region).enqueue([entry])[0]
        return self._receipt(entry, accepted)

    def enqueue_many(self, jobs: Iterable[JobBase]) -> Iterator[Receipt[Any]]:
        """Accept any number of jobs, in bounded memory; yields a receipt for each, in order.

        Jobs are sent as the receipts are taken: use it up. Raises as `enqueue` does; what was yielded is accepted.
        """
        batch = _Batch()
        for job in jobs:
            if not batch.takes(Entry.of(job, self.mappings)):
                yield from self._enqueue(batch)
                batch = _Batch()
        yield from self._enqueue(batch)

    def _enqueue(self, batch: Sequence[Entry]) -> list[Receipt[Any]]:
        found: dict[str, Receipt[Any]] = {}
        for region, group in _by_region(batch).items():
            accepted = self.ledger(region).enqueue(group)
            found |= {entry.id: self._receipt(entry, one) for entry, one in zip(group, accepted, strict=True)}
        return [found[entry.id] for entry in batch]

    @property
    def uploads(self) -> Uploads:
        """Files of any length: plan, upload, follow, undo."""
        return Uploads(self)

    def forecast(self, region: Region, files: int, family: Family = "transactional") -> list[int | None]:
        """Return when each of `files` more files would start (Unix ms; None: a person holds the region)."""
        return self.uploads.forecast(region, files, family)

    def _receipt(self, entry: Entry, accepted: Accepted) -> Receipt[Any]:
        return Receipt(accepted.id, entry.job.region, accepted.state, accepted.duplicate, self, entry.warnings)

    def job(self, job_id: str) -> JobView:
        """Return everything about one job. Raises JobNotFound."""
        for region in self.settings.regions:
            view = self.ledger(region).read([job_id])[0]
            if view is not None:
                return view
        raise JobNotFound(f"no job {job_id}")

    def state(self, job_id: str) -> JobState:
        """Return a job's state now. Raises JobNotFound."""
        return self.job(job_id).state

    def timeline(self, job_id: str) -> list[dict[str, Any]]:
        """Return what happened to a job so far, oldest first: `at`, `event` and what belongs to it."""
        return self.job(job_id).timeline()

    def cancel(self, job_id: str) -> bool:
        """Cancel a job if it has not been sent; False if it was too late. Raises JobNotFound."""
        return self.ledger(self.job(job_id).region).cancel([job_id])[0][1]

    def result(self, job_id: str, timeout: float | None = None) -> Any:  # noqa: ANN401 - one type a kind
        """Wait until a job is delivered and return its result; see `Receipt.result`."""
        view = self.wait(job_id, timeout)
        return _read_result(view)

    def wait(self, job_id: str, timeout: float | None = None) -> JobView:
        """Wait until a job has ended, one way or another. Raises ResultTimeout, JobNotFound."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = _FIRST_LOOK_S
        while True:
            view = self.job(job_id)
            if view.has_ended:
                return view
            _check_deadline(view, deadline)
            time.sleep(pause)
            pause = min(pause * 1.5, _LAST_LOOK_S)


def _check_deadline(view: JobView, deadline: float | None) -> None:
    if deadline is not None and time.monotonic() >= deadline:
        why = f" ({view.reason})" if view.reason else ""
        raise ResultTimeout(f"job {view.id} is still {view.state}{why}; it goes on")


@dataclass(frozen=True, slots=True)
class AsyncReceipt(Generic[R]):
    """An accepted job; see `Receipt`."""

    id: str
    region: Region
    accepted_as: JobState
    duplicate: bool
    _producer: AsyncProducer
    warnings: tuple[str, ...] = ()

    async def state(self) -> JobState:
        """Return its state now."""
        return await self._producer.state(self.id)

    async def timeline(self) -> list[dict[str, Any]]:
        """Return what happened to it so far, oldest first."""
        return await self._producer.timeline(self.id)

    async def cancel(self) -> bool:
        """Cancel it if it has not been sent; False if it was too late."""
        return await self._producer.cancel(self.id)

    async def result(self, timeout: float | None = None) -> R:  # noqa: ASYNC109 - the same signature as Receipt's
        """Wait until it is delivered and return what CustomerGauge said; raises as `Receipt.result` does."""
        return cast("R", await self._producer.result(self.id, timeout))


class AsyncProducer:
    """`Producer` for asyncio: the same calls, as coroutines. Use it in an `async with` statement."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.load()
        self._require_redis()
        self.mappings = Mappings.of(self.settings)
        self._regions: dict[Region, tuple[Intake, AsyncRunner]] = {}

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
        """Close the connections; the next call opens them again."""
        for _, run in self._regions.values():
            await run.client.aclose()
        self._regions.clear()

    def _region(self, region: Region) -> tuple[Intake, AsyncRunner]:
        if region not in self._regions:
            runner = AsyncRunner(self._connect(region), self.settings.wait_replicas)
            self._regions[region] = Intake(region, self.settings), runner
        return self._regions[region]

    def _connect(self, region: Region) -> redis.asyncio.Redis:
        return connect_async(self.settings, region)

    async def _enqueue(self, batch: Sequence[Entry]) -> list[AsyncReceipt[Any]]:
        found: dict[str, AsyncReceipt[Any]] = {}
        for region, group in _by_region(batch).items():
            intake, run = self._region(region)
            accepted = await run(intake.enqueue(group))
            if report := intake.report(group):
                with suppress(StoreError):
                    await run(report)
            found |= {
                entry.id: AsyncReceipt(one.id, region, one.state, one.duplicate, self, entry.warnings)
                for entry, one in zip(group, accepted, strict=True)
            }
        return [found[entry.id] for entry in batch]

    async def enqueue(self, job: Gives[R], *, idempotency_key: str | None = None) -> AsyncReceipt[R]:
        """Accept one job; see `Producer.enqueue`."""
        entry = await _load(_with_key(cast("JobBase", job), idempotency_key), self.mappings)
        return (await self._enqueue([entry]))[0]

    async def enqueue_many(self, jobs: Iterable[JobBase]) -> AsyncIterator[AsyncReceipt[Any]]:
        """Accept any number of jobs; see `Producer.enqueue_many`."""
        batch = _Batch()
        for job in jobs:
            if not batch.takes(await _load(job, self.mappings)):
                for receipt in await self._enqueue(batch):
                    yield receipt
                batch = _Batch()
        for receipt in await self._enqueue(batch):
            yield receipt

    async def job(self, job_id: str) -> JobView:
        """Return everything about one job. Raises JobNotFound."""
        for region in self.settings.regions:
            intake, run = self._region(region)
            view = (await run(intake.read([job_id])))[0]
            if view is not None:
                return view
        raise JobNotFound(f"no job {job_id}")

    async def state(self, job_id: str) -> JobState:
        """Return a job's state now. Raises JobNotFound."""
        return (await self.job(job_id)).state

    async def timeline(self, job_id: str) -> list[dict[str, Any]]:
        """Return what happened to a job so far, oldest first."""
        return (await self.job(job_id)).timeline()

    async def cancel(self, job_id: str) -> bool:
        """Cancel a job if it has not been sent; False if it was too late. Raises JobNotFound."""
        intake, run = self._region((await self.job(job_id)).region)
        return (await run(intake.cancel([job_id], int(time.time() * 1000), "")))[0][1]

    async def result(self, job_id: str, timeout: float | None = None) -> Any:  # noqa: ANN401, ASYNC109
        """Wait until a job is delivered and return its result; see `Receipt.result`."""
        return _read_result(await self.wait(job_id, timeout))

    async def wait(self, job_id: str, timeout: float | None = None) -> JobView:  # noqa: ASYNC109 - as Producer's
        """Wait until a job has ended, one way or another. Raises ResultTimeout, JobNotFound."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = _FIRST_LOOK_S
        while not (view := await self.job(job_id)).has_ended:
            _check_deadline(view, deadline)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LAST_LOOK_S)
        return view


async def _load(job: JobBase, mappings: Mappings | None) -> Entry:
    """Read a file off the event loop; everything else is done at once."""
    if job.kind == "file":
        return await asyncio.to_thread(Entry.of, job)
    return Entry.of(job, mappings)
