"""`Together`: the batch and the canary under which a call enqueues its jobs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self, TypedDict

from gaugepost.errors import InvalidJob, Problem
from gaugepost.jobs.base import BATCH_PATTERN, MAX_BATCH, JobBase

if TYPE_CHECKING:
    from gaugepost.regions import Region

MAX_CANARY = 1_000
"""Jobs of a canary, at most."""

DEFAULT_TOLERANCE = 5
"""Percent of a canary that may be not clean."""


class InBatch(TypedDict, total=False):
    """The options of `enqueue_many` and `enqueue_stream`; see there."""

    batch: str | None
    canary: int | None
    tolerance: float | None


@dataclass(frozen=True, slots=True)
class Together:
    """`batch`: its name; None: each job has its own. `canary`: `size:tolerance`, or empty. One object for each call."""

    batch: str | None = None
    canary: str = ""
    _begun: set[Region] = field(default_factory=set, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, batch: str | None = None, canary: int | None = None, tolerance: float | None = None) -> Self:
        """Check the options of a call. Raises InvalidJob, before a job is stored."""
        problems = list(_problems(batch, canary, tolerance))
        if problems:
            raise InvalidJob(problems)
        percent = DEFAULT_TOLERANCE if tolerance is None else tolerance
        return cls(batch, f"{canary}:{percent:g}" if canary is not None else "")

    def named(self, job: JobBase) -> JobBase:
        """Return the job with the batch of the call."""
        return job if self.batch is None else job.model_copy(update={"batch": self.batch})

    def asks(self, region: Region) -> str:
        """Return the canary for the next job of a region, as enqueue.lua reads it.

        The first job is marked: Redis refuses it if the canary is decided. Later jobs are stored then, too.
        """
        if not self.canary or region in self._begun:
            return self.canary
        self._begun.add(region)
        return f"{self.canary}:first"


def _problems(batch: str | None, canary: int | None, tolerance: float | None) -> list[Problem]:
    found = []
    if batch is not None and not (len(batch) <= MAX_BATCH and re.fullmatch(BATCH_PATTERN[1:-1], batch)):
        found.append(Problem("batch", f"expected 1 to {MAX_BATCH} letters, digits and `._:-`"))
    if canary is not None and not 1 <= canary <= MAX_CANARY:
        found.append(Problem("canary", f"expected a number of jobs from 1 to {MAX_CANARY:,}"))
    if canary is not None and batch is None:
        found.append(Problem("canary", "expected together with `batch`"))
    if tolerance is not None and not 0 <= tolerance <= 100:  # noqa: PLR2004 - percent
        found.append(Problem("tolerance", "expected a percentage from 0 to 100"))
    if tolerance is not None and canary is None:
        found.append(Problem("tolerance", "expected together with `canary`"))
    return found


ALONE = Together()
"""The options of a call without a batch."""
