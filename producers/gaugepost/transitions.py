"""The changes of state of a claimed job: one class for each.

The policy in `gaugepost_tasks` returns one for each attempt; the ledger carries it out. Waits are lengths in ms, not
points in time, because only Redis' clock counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gaugepost.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Attempt:
    """One HTTP exchange, or a failed one, as the job's history records it.

    `n`: number of the attempt, from 1. `at`: its start, Unix ms. `ms`: its duration. `status`: the HTTP status, None
    without an answer. `message`: CustomerGauge's message without personal data. `counted`: whether it counts towards
    the limit of attempts.
    """

    n: int
    at: int
    ms: int
    status: int | None
    verdict: Verdict
    message: str = ""
    counted: bool = True
    field_errors: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivered:
    """CustomerGauge accepted the job.

    `happened_at`: when the change of a case happened; the ledger warns if a later change of the case was delivered
    before.
    """

    result: Mapping[str, Any] = field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()
    happened_at: str | None = None


class Phase(StrEnum):
    """What a sent file waits for. When its time comes, the worker reads the upload statistics and does not send it."""

    NONE = ""
    LOOKUP = "lookup"  # the answer was lost: did the file arrive?
    PROCESSING = "processing"  # the file was accepted: has CustomerGauge processed its rows?


@dataclass(frozen=True, slots=True)
class Check:
    """One request for the upload statistics, as the job's history records it. It is not an attempt: it sends no job.

    `at`: Unix ms. `status`: the HTTP status, None without an answer. `found`: whether the file is in the statistics;
    then `upload_id` is CustomerGauge's id. `processed`: whether its rows are processed. `readable`: whether the answer
    could be parsed; if not, `found` and `processed` mean nothing. `answered`: whether the endpoint works, so that the
    hold which this request probes is lifted.
    """

    at: int
    status: int | None
    found: bool
    processed: bool = False
    upload_id: int | None = None
    readable: bool = True
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Parked:
    """Park the job for `delay_ms`, with a reason in one word. A sent file also has a phase."""

    delay_ms: int
    reason: str
    phase: Phase = Phase.NONE


@dataclass(frozen=True, slots=True)
class Held:
    """Park the job until the hold of this scope is lifted; after `give_up_ms`, if set, the job is dead.

    `reason`: one word. `words`: the endpoint's message, for people; the hold stores it, the job does not.
    """

    scope: str
    reason: str
    give_up_ms: int | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Requeued:
    """Put the job back into the queue at once; the attempt does not count.

    `behind`: the id of the first job of its configuration; this job waits until that one has an answer.
    """

    behind: str = ""


@dataclass(frozen=True, slots=True)
class Resend:
    """The file did not arrive: put the job back into the upload lane, to be sent in a later slot."""


@dataclass(frozen=True, slots=True)
class Dead:
    """Stop: only a person can start the job again."""

    verdict: Verdict
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unknown:
    """The answer was lost, and a second request could take effect twice: a person must resolve the job."""

    reason: str


Transition = Delivered | Parked | Held | Requeued | Resend | Dead | Unknown


@dataclass(frozen=True, slots=True)
class HoldSpec:
    """A hold to open, unless its scope has one. If the job is the probe of that hold, the next probe is scheduled.

    `scope`: "" is the whole region, `configuration:<reference>` one mapping, `endpoints:<family>` one family of
    endpoints, `credentials:<oauth|api_key>` the kinds that need this credential.
    `reason`: why, for people; may contain the endpoint's message. `label`: the reason in one word, by which the ledger
    counts the hold's parked jobs; the default is `reason`.
    `verdict`: the verdict that opened the hold; a probe with another verdict lifts it.
    `probe_ms`: waits before the first, second, … probe; the last one repeats.
    `give_up_ms`: a job that the hold has kept for this long is dead.
    `fingerprint`: that of the refused credential.
    """

    scope: str
    reason: str
    verdict: Verdict
    probe_ms: tuple[int, ...]
    give_up_ms: int | None = None
    label: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Streak:
    """A circuit breaker: count this failure in the row of failures `name`, and open `hold` at `limit` failures.

    The failures must come from at least `jobs` jobs. If the region works on several sorts of job (a sort is a kind with
    its configuration), they must come from at least `sorts` of them. With `apart`, a failure counts only if its request
    began after the previous failure was recorded: many requests that fail by one event count once.
    """

    name: str
    limit: int
    hold: HoldSpec
    jobs: int = 1
    sorts: int = 1
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a verdict. `ends_streaks`: names of the rows of failures that end."""

    transition: Transition
    counted: bool = True
    hold: HoldSpec | None = None
    streak: Streak | None = None
    ends_streaks: tuple[str, ...] = ()
