"""Cut many jobs into batches: one batch is one call of Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from gaugepost.errors import GaugepostError, InvalidJob
from gaugepost.ledger import Entry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from gaugepost.regions import Region

T = TypeVar("T")

BATCH = 200
"""Jobs in one batch, at most."""
BATCH_BYTES = 4_000_000
"""Size of a batch after which it takes no further job: Redis runs one script at a time, so a script must be short."""


class Batch(list[Entry]):
    """The jobs of one call of Redis, at most BATCH jobs and about BATCH_BYTES."""

    size = 0
    error: Exception | None = None
    """The error of the next job. The caller raises it after it has stored this batch."""

    def add(self, entry: Entry) -> bool:
        """Add a job. Return whether the batch has room for another."""
        self.append(entry)
        self.size += entry.size
        return not self.is_full

    @property
    def is_full(self) -> bool:
        """Whether the batch has reached BATCH or BATCH_BYTES."""
        return len(self) >= BATCH or self.size >= BATCH_BYTES


def batches(jobs: Iterator[T], entry_of: Callable[[T], Entry]) -> Iterator[Batch]:
    """Cut jobs into batches. Raises the error of a wrong job after it has yielded all jobs before it."""
    while (batch := _filled(jobs, entry_of)).is_full:
        yield batch
    if batch:
        yield batch
    if batch.error is not None:
        raise batch.error


def _filled(jobs: Iterator[T], entry_of: Callable[[T], Entry]) -> Batch:
    batch = Batch()
    try:
        for job in jobs:
            if not batch.add(entry_of(job)):
                break
    except Exception as error:  # noqa: BLE001 - `batches` raises it after the batch
        batch.error = error
    return batch


async def async_batches(jobs: Iterator[T], entry_of: Callable[[T], Awaitable[Entry]]) -> AsyncIterator[Batch]:
    """Cut jobs into batches, as `batches` does."""
    while (batch := await _async_filled(jobs, entry_of)).is_full:
        yield batch
    if batch:
        yield batch
    if batch.error is not None:
        raise batch.error


async def _async_filled(jobs: Iterator[T], entry_of: Callable[[T], Awaitable[Entry]]) -> Batch:
    batch = Batch()
    try:
        for job in jobs:
            if not batch.add(await entry_of(job)):
                break
    except Exception as error:  # noqa: BLE001 - `async_batches` raises it after the batch
        batch.error = error
    return batch


def by_region(entries: Sequence[Entry]) -> dict[Region, list[Entry]]:
    """Group entries by region, in order."""
    groups: dict[Region, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.job.region, []).append(entry)
    return groups


def add_progress(error: Exception, accepted: Sequence[Any]) -> None:
    """Add to an error of `enqueue_many` the receipts of the stored jobs, and the position of the wrong job."""
    if isinstance(error, InvalidJob):
        error.number = len(accepted) + 1
    error.add_note(f"enqueue_many: {len(accepted):,} jobs were accepted before this error")
    if isinstance(error, GaugepostError):
        error.accepted = accepted
