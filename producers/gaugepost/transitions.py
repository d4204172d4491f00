"""What can become of a claimed job: one constructor for each change of state.

A worker's policy gives one of these for each attempt; only the ledger carries it out. Waits are lengths and not
points in time, because the clock that counts is Redis'.
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
    """One HTTP exchange, or the failure to have one, as it stands on the job's record.

    `n` counts from 1; `at` is Unix time in ms, `ms` how long it took; `status` is HTTP's, None without an answer;
    `message` is the receiver's, with personal data taken out; `counted` tells whether it used up a try.
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
    """CustomerGauge took it."""

    result: Mapping[str, Any] = field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()


class Phase(StrEnum):
    """What a file that was sent is waiting for. A job with a phase is looked up when its time comes, and not sent."""

    NONE = ""
    LOOKUP = "lookup"  # its answer was lost: is it there at all?
    PROCESSING = "processing"  # it was taken: what became of its rows?


@dataclass(frozen=True, slots=True)
class Check:
    """One look at the upload statistics, as the job's record has it: not an attempt, nothing is sent by it.

    `upload_id`: CustomerGauge's, once it was found. Without `readable` the look says nothing.
    """

    at: int
    status: int | None
    found: bool
    processed: bool = False
    upload_id: int | None = None
    readable: bool = True


@dataclass(frozen=True, slots=True)
class Parked:
    """Not before `delay_ms` from now, and why; a file that was sent also tells what it waits for."""

    delay_ms: int
    reason: str
    phase: Phase = Phase.NONE


@dataclass(frozen=True, slots=True)
class Held:
    """Until the hold of this scope is lifted; the job gives up after `give_up_ms` of it, if set.

    `words`: what an endpoint said, where `reason` is one word. For people; the hold keeps it, and not the job.
    """

    scope: str
    reason: str
    give_up_ms: int | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Requeued:
    """Back to where it was claimed from, at once: the region's hold, or nobody, has used up this try.

    `behind`: id of the first job of its configuration; it waits aside for the answer to that one.
    """

    behind: str = ""


@dataclass(frozen=True, slots=True)
class Resend:
    """The file is not there: back to its lane, to be sent in a later slot."""


@dataclass(frozen=True, slots=True)
class Dead:
    """Not again without a person."""

    verdict: Verdict
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unknown:
    """Sent, the answer lost, and sending again could do it twice: a person settles it."""

    reason: str


Transition = Delivered | Parked | Held | Requeued | Resend | Dead | Unknown


@dataclass(frozen=True, slots=True)
class HoldSpec:
    """A hold to open if there is none of this scope; if the job was its probe, to be moved on.

    `scope`: "" is the whole region, `configuration:<reference>` one mapping, `endpoints:<family>` what goes to
    one family of endpoints, `credentials:<oauth|api_key>` the kinds that need these. `probe_ms`: waits before the
    first, second, … probe; the last one repeats.
    `verdict` is what it is about: a probe that ends in another verdict lifts it. A job that it has kept for
    `give_up_ms` is dead. `label`: the reason in one word, by which its parked jobs are counted, where `reason` has the
    words of an endpoint. `fingerprint`: of the credential that was refused.
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
    """Count this failure among those in a row under `name`; at `limit` of them open `hold`.

    They must be failures of at least `jobs` jobs and, where the region has more than one in work, of `sorts` sorts: a
    sort is a kind and its configuration. With `apart` a failure counts only if its request began after the failure
    before it was known: one event that fails many requests at once counts once.
    """

    name: str
    limit: int
    hold: HoldSpec
    jobs: int = 1
    sorts: int = 1
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with one attempt's verdict: `ends_streaks` are the names it sets back to nothing."""

    transition: Transition
    counted: bool = True
    hold: HoldSpec | None = None
    streak: Streak | None = None
    ends_streaks: tuple[str, ...] = ()
