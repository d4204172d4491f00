"""What services use: `Producer`; `AsyncProducer` of async_client.py has the same calls as coroutines.

An enqueue that returns was accepted: the job is in Redis and a worker will find it. One that raises StoreUnreachable
may have been accepted all the same; sending it again with the same idempotency key is safe.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from gaugepost.admission import admitted, batches, by_region, each, noted
from gaugepost.connection import connect, redis_url
from gaugepost.errors import IdempotencyConflict, StoreUnreachable
from gaugepost.lazy import Stream
from gaugepost.ledger import Accepted, Entry, Ledger
from gaugepost.lookup import Lookup
from gaugepost.mappings import Mappings
from gaugepost.receipts import Receipt, Receipts
from gaugepost.results import Patience, read_result
from gaugepost.settings import Settings
from gaugepost.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gaugepost.jobs import JobBase
    from gaugepost.jobs.file import Family
    from gaugepost.ledger import JobView
    from gaugepost.regions import Region
    from gaugepost.results import Gives
    from gaugepost.states import JobState

R = TypeVar("R")


class Producer:
    """Enqueues jobs and asks after them. Thread-safe; close it, or use it in a `with` statement.

    Each call takes at most GAUGEPOST_STORE_TIMEOUT. A process has at most 50 connections to a region's Redis for all
    its calls; a call that finds none free waits for one within that time. A forked child has connections of its own.
    """

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
            patience = self.settings.store_timeout
            client = connect(self.settings, region, patience=patience)
            self._ledgers.setdefault(place, Ledger(client, region, self.settings, patience=patience))
        return self._ledgers[place]

    # Enqueue

    @overload
    def enqueue(self, job: Gives[R], *, idempotency_key: str | None = None) -> Receipt[R]: ...

    @overload
    def enqueue(self, job: Mapping[str, Any], *, idempotency_key: str | None = None) -> Receipt[Any]: ...

    def enqueue(self, job: Gives[R] | Mapping[str, Any], *, idempotency_key: str | None = None) -> Receipt[Any]:
        """Accept one job, or a mapping with the fields of one and its `kind`: one script, one round trip.

        Raises InvalidJob (a file that is not fit to send, a record that does not fit its mapping in mappings.toml, a
        region that is not served here), IdempotencyConflict, BacklogFull, StoreFull, StoreUnreachable.
        """
        entry = self._entry(job, idempotency_key)
        accepted = self.ledger(entry.job.region).enqueue([entry])[0]
        if accepted.conflict:
            raise IdempotencyConflict(accepted.id)
        return self._receipt(entry.job.region, accepted, entry.warnings)

    def enqueue_many(self, jobs: Iterable[JobBase | Mapping[str, Any]]) -> Receipts[Receipt[Any]]:
        """Accept any number of jobs, a few hundred in a round trip; return the receipt of each, in order.

        Memory stays bounded: jobs are read as they are sent, and a receipt takes 19 bytes. Raises as `enqueue` does,
        but for a conflict, which its receipt says. Where it raises, `accepted` of the error has the receipts of what is
        stored: after an InvalidJob, or an error of `jobs` itself, all jobs before the wrong one, and none after it.
        """
        receipts, found = Receipts(self._receipt), each(jobs)
        try:
            for batch in batches(found, self._entry):
                self._accept(batch, receipts)
        except Exception as error:
            noted(error, receipts)
            raise
        return receipts

    def enqueue_stream(self, jobs: Iterable[JobBase | Mapping[str, Any]]) -> Iterator[Receipt[Any]]:
        """Accept any number of jobs while their receipts are taken: for jobs that come slowly, or without end.

        What was yielded is accepted. An iterator that is never used stores nothing, and a ResourceWarning says so.
        """
        return Stream(self._each(each(jobs)))

    def _each(self, jobs: Iterator[object]) -> Iterator[Receipt[Any]]:
        for batch in batches(jobs, self._entry):
            receipts = Receipts(self._receipt)
            self._accept(batch, receipts)
            yield from receipts

    def _entry(self, job: object, idempotency_key: str | None = None) -> Entry:
        """Check a job, and read its file if it has one. Raises InvalidJob."""
        return Entry.of(admitted(job, self.settings, idempotency_key), self.mappings)

    def _accept(self, batch: Sequence[Entry], receipts: Receipts[Receipt[Any]]) -> None:
        """Accept a batch and add its receipts, in order; where a region fails, those of the others."""
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
        """Files of any length: plan, upload, follow, undo."""
        return Uploads(self)

    def forecast(self, region: Region, files: int, family: Family = "transactional") -> list[int | None]:
        """Return when each of `files` more files would start (Unix ms; None: a person holds the region)."""
        return self.uploads.forecast(region, files, family)

    # Ask

    def job(self, job_id: str, *, region: Region | None = None) -> JobView:
        """Return everything about one job, of this region or of whichever has it.

        Raises JobNotFound; StoreUnreachable where no region that could be asked has it, which names the others.
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

    def state(self, job_id: str, *, region: Region | None = None) -> JobState:
        """Return a job's state now. Raises JobNotFound."""
        return self.job(job_id, region=region).state

    def timeline(self, job_id: str, *, region: Region | None = None) -> list[dict[str, Any]]:
        """Return what happened to a job so far, oldest first: `at`, `event` and what belongs to it."""
        return self.job(job_id, region=region).timeline()

    def cancel(self, job_id: str, *, region: Region | None = None) -> bool:
        """Cancel a job if it has not been sent; False if it was too late. Raises JobNotFound."""
        return self.ledger(self.job(job_id, region=region).region).cancel([job_id])[0][1]

    def result(self, job_id: str, timeout: float | None = None, *, region: Region | None = None) -> Any:  # noqa: ANN401 - one type a kind
        """Wait until a job is delivered and return its result; see `Receipt.result`."""
        return read_result(self.wait(job_id, timeout, region=region))

    def wait(self, job_id: str, timeout: float | None = None, *, region: Region | None = None) -> JobView:
        """Wait until a job has ended, one way or another. Raises ResultTimeout, JobNotFound."""
        patience = Patience(timeout)
        while not (view := self.job(job_id, region=region)).has_ended:
            region = view.region
            time.sleep(patience.pause(view))
        return view
