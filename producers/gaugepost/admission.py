"""What may be enqueued, and in which calls: a job is checked at the door, and many jobs go to Redis in batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from gaugepost.errors import GaugepostError, InvalidJob, Problem
from gaugepost.jobs import JobBase, parse_job
from gaugepost.jobs.common import MAX_KEY, is_utf8
from gaugepost.jobs.refusal import NOT_UTF8
from gaugepost.ledger import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from gaugepost.regions import Region
    from gaugepost.settings import Settings

T = TypeVar("T")

BATCH = 200
"""Jobs in one call of `enqueue_many`."""
BATCH_BYTES = 4_000_000
"""Bytes after which such a call takes no more: a script must not keep Redis from other work."""


def admitted(job: object, settings: Settings, idempotency_key: str | None = None) -> JobBase:
    """Return the job that is to be enqueued: read from a mapping, under the key of the call. Raises InvalidJob."""
    found = job if isinstance(job, JobBase) else parse_job(job) if isinstance(job, Mapping) else None
    if found is None:
        expected = f"expected a job such as Record(…), or a mapping with its kind, not {type(job).__name__}"
        raise InvalidJob([Problem("", expected)])
    check_region(found.region, settings.regions)
    return found if idempotency_key is None else _with_key(found, idempotency_key)


def each(jobs: Iterable[T]) -> Iterator[T]:
    """Iterate over jobs. Raises InvalidJob for one job alone, which could be iterated over too: over its fields."""
    if isinstance(jobs, JobBase | Mapping):
        raise InvalidJob([Problem("", "expected many jobs, such as a list, not one: `enqueue` takes one")])
    return iter(jobs)


def check_region(region: Region, served: Collection[Region]) -> None:
    """Refuse a region that is not served here: its job would not be found again. Raises InvalidJob."""
    if region not in served:
        expected = f"not served here: expected one of GAUGEPOST_REGIONS ({', '.join(served)})"
        raise InvalidJob([Problem("region", expected)])


def _with_key(job: JobBase, key: str) -> JobBase:
    if not 0 < len(key) <= MAX_KEY:
        raise InvalidJob([Problem("idempotency_key", f"expected 1 to {MAX_KEY} characters")])
    if not is_utf8(key):
        raise InvalidJob([Problem("idempotency_key", NOT_UTF8)])
    return job.model_copy(update={"idempotency_key": key})


class Batch(list[Entry]):
    """Jobs that go in one call: many, or few large ones."""

    size = 0
    error: Exception | None = None
    """Why no further job could be read: to be raised when this batch is accepted."""

    def takes(self, entry: Entry) -> bool:
        """Add one; return whether there is room for more."""
        self.append(entry)
        self.size += entry.size
        return not self.is_full

    @property
    def is_full(self) -> bool:
        """Whether it has as much as one call may have."""
        return len(self) >= BATCH or self.size >= BATCH_BYTES


def batches(jobs: Iterator[T], entry_of: Callable[[T], Entry]) -> Iterator[Batch]:
    """Cut jobs into batches. An error of a job is raised after all jobs before it were given."""
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
            if not batch.takes(entry_of(job)):
                break
    except Exception as error:  # noqa: BLE001 - it is raised as soon as the batch is accepted
        batch.error = error
    return batch


def by_region(entries: Sequence[Entry]) -> dict[Region, list[Entry]]:
    """Group entries by their region, in order."""
    groups: dict[Region, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.job.region, []).append(entry)
    return groups


def noted(error: Exception, accepted: Sequence[Any]) -> None:
    """Say on an error what `enqueue_many` had accepted before it, and which job is wrong."""
    if isinstance(error, InvalidJob):
        error.number = len(accepted) + 1
    error.add_note(f"enqueue_many: {len(accepted):,} jobs were accepted before this")
    if isinstance(error, GaugepostError):
        error.accepted = accepted
