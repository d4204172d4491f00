"""Check jobs before they are enqueued, and cut many jobs into batches: one batch is one call of Redis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from gaugepost.errors import GaugepostError, InvalidJob, Problem
from gaugepost.jobs import JobBase, parse_job
from gaugepost.jobs.base import MAX_KEY
from gaugepost.jobs.field_types import is_utf8
from gaugepost.jobs.refusal import NOT_UTF8
from gaugepost.ledger import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from gaugepost.regions import Region
    from gaugepost.settings import Settings

T = TypeVar("T")

BATCH = 200
"""Jobs in one batch, at most."""
BATCH_BYTES = 4_000_000
"""Size of a batch after which it takes no further job: Redis runs one script at a time, so a script must be short."""


def admit(job: object, settings: Settings, idempotency_key: str | None = None) -> JobBase:
    """Check a job or a mapping of its fields, and return the job to enqueue. Raises InvalidJob."""
    found = job if isinstance(job, JobBase) else parse_job(job) if isinstance(job, Mapping) else None
    if found is None:
        expected = f"expected a job such as Record(…), or a mapping with kind and fields, not {type(job).__name__}"
        raise InvalidJob([Problem("", expected)])
    check_region(found.region, settings.regions)
    return found if idempotency_key is None else _with_key(found, idempotency_key)


def iterate(jobs: Iterable[T]) -> Iterator[T]:
    """Return an iterator over jobs. Raises InvalidJob for a single job: Python would iterate over its fields."""
    if isinstance(jobs, JobBase | Mapping):
        raise InvalidJob([Problem("", "expected an iterable of jobs, not one job: use `enqueue` for one job")])
    return iter(jobs)


def check_region(region: Region, served: Collection[Region]) -> None:
    """Raise InvalidJob for a region that is not in GAUGEPOST_REGIONS: this process would not find the job again."""
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
