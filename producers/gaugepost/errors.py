"""Everything gaugepost raises on purpose.

GaugepostError
├── SettingsError          the environment is wrong; names the setting
├── InvalidJob             a job was refused at the door (a ValueError too); `problems` name each field
│   └── IdempotencyConflict  its key was used for a job with other content; `id` is that first job's
├── StoreError
│   ├── StoreUnreachable   Redis cannot be reached: whether an enqueue took effect is not known, so send it
│   │                      again with the same idempotency key
│   ├── StoreFull          Redis refuses writes (out of memory, read-only, disk full): nothing was stored
│   ├── NotPermitted       Redis' ACL does not let its user do this; names the user, the command and the keys
│   ├── ClusterNotSupported  it is a Redis Cluster
│   └── LedgerClosed       a newer gaugepost has changed it past what this one knows, or it has moved to another Redis
├── BacklogFull            the region already has as many jobs waiting as it may; nothing was stored
├── JobNotFound            no region has a job of this id
├── DataSealed             a job's data is sealed under a key that this process does not have
└── JobEnded               `result()` of a job that has none to give
    ├── JobDead            with verdict, message, field errors
    ├── JobCancelled
    ├── JobExpired
    └── ResultLost         delivered, as a person found out; what CustomerGauge answered was lost
ResultTimeout              `result()` waited long enough (a GaugepostError and a TimeoutError)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class GaugepostError(Exception):
    """Base of all errors that gaugepost raises on purpose."""

    accepted: Sequence[Any] = ()
    """Where `enqueue_many` raised it: the receipts of what is stored."""


class SettingsError(GaugepostError):
    """A setting is missing, unknown or wrong. The message names it and never holds a secret."""


@dataclass(frozen=True)
class Problem:
    """What is wrong with one field of a job."""

    field: str
    expected: str

    def __str__(self) -> str:
        """Read as `net_promoter_score: expected a whole number from 0 to 10`."""
        return f"{self.field}: {self.expected}" if self.field else self.expected


class InvalidJob(GaugepostError, ValueError):  # noqa: N818 - named for what it is about, as all of this tree
    """A job was refused at the door; nothing of it is stored. Holds no value of the job, only field names."""

    number: int | None = None
    """Where `enqueue_many` raised it: which of its jobs this one is, from 1."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)

    def __str__(self) -> str:
        """Read as `net_promoter_score: expected …`; of many jobs as `job 501: net_promoter_score: expected …`."""
        return super().__str__() if self.number is None else f"job {self.number:,}: {super().__str__()}"


class IdempotencyConflict(InvalidJob):
    """The idempotency key was used before, for a job of another kind or content. Nothing of this one is stored."""

    def __init__(self, job_id: str) -> None:
        conflict = f"was used for job {job_id}, which has another kind or content: nothing was stored"
        super().__init__([Problem("idempotency_key", conflict)])
        self.id = job_id


class StoreError(GaugepostError):
    """Redis did not do what was asked."""


class StoreUnreachable(StoreError, ConnectionError):  # noqa: N818
    """Redis cannot be reached, or the connection was lost before its answer came."""


class StoreFull(StoreError):  # noqa: N818
    """Redis refuses writes: out of memory, read-only or out of disk. Nothing was stored."""


class LedgerClosed(StoreError):  # noqa: N818
    """A newer version has changed the ledger past what this process knows, or it has moved. It was left alone."""


@dataclass(frozen=True)
class Refusal:
    """What Redis' ACL refuses: a command, with its keys or channels where they are known; or any use of keys."""

    command: str
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Read as `run HGETALL on gaugepost:{eu}:holds`, or `use gaugepost:{eu}:holds`."""
        shown = ", ".join(self.names[:_SHOWN]) + _and_more(self.names)
        if not self.command:
            return f"use {shown}"
        return f"run {self.command}{f' on {shown}' if shown else ''}"


_SHOWN = 6


def _and_more(what: Sequence[object]) -> str:
    return f" and {len(what) - _SHOWN} more" if len(what) > _SHOWN else ""


class NotPermitted(StoreError):  # noqa: N818
    """Redis' ACL does not permit its user what a part needs. Names commands, keys and channels; holds no values."""

    def __init__(self, user: str, *refusals: Refusal) -> None:
        what = "; ".join(map(str, refusals[:_SHOWN])) + _and_more(refusals)
        super().__init__(
            f"Redis does not permit its user {user} to {what}: change the user's rules in Redis, see docs/redis-acl.md"
        )
        self.user = user
        self.refusals = refusals


class ClusterNotSupported(StoreError):  # noqa: N818
    """The Redis is a node of a Redis Cluster: a region's keys and its queues would lie on different nodes."""

    def __init__(self) -> None:
        super().__init__(
            "this is a Redis Cluster, which gaugepost does not support: set GAUGEPOST_REDIS_URL to one Redis, "
            "or to sentinels (sentinel://…)"
        )


class BacklogFull(GaugepostError):  # noqa: N818
    """The region has `GAUGEPOST_BACKLOG_LIMIT` jobs waiting. Nothing was stored."""


class JobNotFound(GaugepostError, LookupError):  # noqa: N818
    """No region knows this job id (or its retention has passed)."""


class DataSealed(GaugepostError):  # noqa: N818
    """What was to be read is sealed, and GAUGEPOST_DATA_KEY is not set here or lacks its key. Nothing is lost by it."""


class JobEnded(GaugepostError):  # noqa: N818
    """The job ended, and has no result to give."""


@dataclass
class JobDead(JobEnded):
    """The job will not be tried again without a person."""

    job_id: str
    verdict: str
    message: str = ""
    field_errors: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        """Name the job and its verdict."""
        return f"job {self.job_id} is dead: {self.verdict}" + (f" ({self.message})" if self.message else "")


class JobCancelled(JobEnded):
    """A person cancelled the job before it was sent."""


class JobExpired(JobEnded):
    """The job's `expires_at` came before it was sent."""


class ResultLost(JobEnded):
    """The job's answer was lost, and a person settled it as delivered: it took effect, and its result is not known."""


class ResultTimeout(GaugepostError, TimeoutError):  # noqa: N818
    """The job had not ended when the time given to `result()` was over. It goes on all the same."""
