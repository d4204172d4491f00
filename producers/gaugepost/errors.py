"""The errors that gaugepost raises.

GaugepostError
├── SettingsError            a setting is missing, unknown or wrong; the message names it
├── InvalidJob               enqueue refused the job (also a ValueError); `problems` names each field
│   └── IdempotencyConflict  an earlier job with this key has other content; `id` is the id of that job
├── InvalidQuery             `find` or `jobs_page` cannot look for this (also a ValueError)
├── StoreError
│   ├── StoreUnreachable     Redis did not answer. The job may be stored or not: enqueue it again with the same
│   │                        idempotency key
│   ├── StoreFull            Redis refuses writes (out of memory, read-only, disk full); nothing was stored
│   ├── NotPermitted         Redis' ACL refuses the command; names the user, the command and the keys
│   ├── ClusterNotSupported  GAUGEPOST_REDIS_URL names a Redis Cluster
│   └── LedgerClosed         a newer version changed the ledger, or the region was moved to another Redis
├── BacklogFull              the region has GAUGEPOST_BACKLOG_LIMIT jobs waiting; nothing was stored
├── BatchConflict            the batch has begun, and its canary does not fit; nothing was stored (also a ValueError)
├── JobNotFound              no region has a job with this id
├── DataSealed               the data is encrypted with a key that this process does not have
├── JobEnded                 `result()`: the job ended without a result
│   ├── JobDead              has the verdict, the message and the field errors
│   ├── JobCancelled
│   ├── JobExpired
│   └── ResultLost           a person found out that the job was delivered; CustomerGauge's answer was lost
└── ResultTimeout            `result()`: the job has not ended within the timeout (also a TimeoutError)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class GaugepostError(Exception):
    """Base class of gaugepost's errors."""

    accepted: Sequence[Any] = ()
    """Set by `enqueue_many`: the receipts of the jobs that are stored."""


class SettingsError(GaugepostError):
    """A setting is missing, unknown or wrong. The message names the setting and never contains a secret."""


@dataclass(frozen=True)
class Problem:
    """One wrong field of a job: `net_promoter_score: expected a whole number from 0 to 10`."""

    field: str
    expected: str

    def __str__(self) -> str:
        return f"{self.field}: {self.expected}" if self.field else self.expected


class InvalidJob(GaugepostError, ValueError):  # noqa: N818 - the classes below omit the suffix Error too
    """Enqueue refused the job and stored nothing. The message has names of fields, never their values."""

    number: int | None = None
    """Set by `enqueue_many`: the position of the refused job, from 1. The message then begins with `job 501: `."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return super().__str__() if self.number is None else f"job {self.number:,}: {super().__str__()}"


class IdempotencyConflict(InvalidJob):
    """An earlier job with this idempotency key has another kind or content. This job was not stored.

    `id` is the id of the earlier job. `first`: the position of the earlier job, from 1, if it is in the same call.
    """

    def __init__(self, job_id: str, first: int | None = None) -> None:
        earlier = f"job {job_id}" if first is None else f"job {first:,} of the same call"
        conflict = f"was used for {earlier}, which has another kind or content: nothing was stored"
        super().__init__([Problem("idempotency_key", conflict)])
        self.id = job_id
        self.first = first


class InvalidQuery(GaugepostError, ValueError):  # noqa: N818
    """A value, a time or a cursor is malformed. The message names what was expected, and never the value."""


class StoreError(GaugepostError):
    """A command to Redis failed."""


class StoreUnreachable(StoreError, ConnectionError):  # noqa: N818
    """Redis cannot be reached, or the connection broke before Redis answered."""


class StoreFull(StoreError):  # noqa: N818
    """Redis refuses writes: out of memory, read-only or out of disk. Nothing was stored."""


class LedgerClosed(StoreError):  # noqa: N818
    """A newer version of gaugepost changed the ledger, or the region was moved. This call changed nothing."""


@dataclass(frozen=True)
class Refusal:
    """What Redis' ACL refuses: `command` on the keys or channels `names`. An empty command means any use of them."""

    command: str
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = ", ".join(self.names[:_SHOWN]) + _and_more(self.names)
        if not self.command:
            return f"use {shown}"
        return f"run {self.command}{f' on {shown}' if shown else ''}"


_SHOWN = 6
"""Names in one message, at most."""


def _and_more(items: Sequence[object]) -> str:
    return f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""


class NotPermitted(StoreError):  # noqa: N818
    """Redis' ACL refuses a command. The message names the user, commands, keys and channels, but no values."""

    def __init__(self, user: str, *refusals: Refusal) -> None:
        shown = "; ".join(map(str, refusals[:_SHOWN])) + _and_more(refusals)
        super().__init__(
            f"Redis does not permit its user {user} to {shown}: change the user's rules in Redis, see docs/redis-acl.md"
        )
        self.user = user
        self.refusals = refusals


class ClusterNotSupported(StoreError):  # noqa: N818
    """GAUGEPOST_REDIS_URL names a Redis Cluster, in which a region's keys and its queues are on different nodes."""

    def __init__(self) -> None:
        super().__init__(
            "this is a Redis Cluster, which gaugepost does not support: set GAUGEPOST_REDIS_URL to one Redis, "
            "or to sentinels (sentinel://…)"
        )


class BacklogFull(GaugepostError):  # noqa: N818
    """The region has `GAUGEPOST_BACKLOG_LIMIT` jobs waiting. Nothing was stored."""


class BatchConflict(GaugepostError, ValueError):  # noqa: N818
    """The batch has another canary than a call asks for, or it has passed or was resumed. Nothing was stored."""


class JobNotFound(GaugepostError, LookupError):  # noqa: N818
    """No region has a job with this id, or its retention is over."""


class DataSealed(GaugepostError):  # noqa: N818
    """The data is encrypted, and GAUGEPOST_DATA_KEY of this process does not have its key. Nothing is lost."""


class JobEnded(GaugepostError):  # noqa: N818
    """The job ended without a result."""


@dataclass
class JobDead(JobEnded):
    """The job failed for good: gaugepost does not try it again unless a person asks for it."""

    job_id: str
    verdict: str
    message: str = ""
    field_errors: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"job {self.job_id} is dead: {self.verdict}" + (f" ({self.message})" if self.message else "")


class JobCancelled(JobEnded):
    """The job was cancelled before a worker sent it."""


class JobExpired(JobEnded):
    """The job's `expires_at` passed before a worker sent it."""


class ResultLost(JobEnded):
    """CustomerGauge's answer was lost, and a person resolved the job as delivered. Its result is not known."""


class ResultTimeout(GaugepostError, TimeoutError):  # noqa: N818
    """The job has not ended within the timeout of `result()`. Delivery continues."""
