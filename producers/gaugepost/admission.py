"""Check jobs before they are enqueued."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from gaugepost.errors import InvalidJob, Problem
from gaugepost.jobs import JobBase, parse_job
from gaugepost.jobs.base import MAX_KEY
from gaugepost.jobs.field_types import is_utf8
from gaugepost.jobs.refusal import NOT_UTF8

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from gaugepost.regions import Region
    from gaugepost.settings import Settings

T = TypeVar("T")


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
