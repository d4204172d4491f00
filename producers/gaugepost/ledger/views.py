"""`JobView`: a job as people see it, parsed from its hash in Redis and the holds of its region.

The keys of `JobView.to_dict` are those of `gaugepost job --json`, on which users rely: add keys, never change one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gaugepost.errors import DataSealed
from gaugepost.jobs.base import JobBase
from gaugepost.ledger.decryption import Decryption
from gaugepost.ledger.explanations import action, explained, meaning, meaning_of_reason
from gaugepost.ledger.history import History, read_history
from gaugepost.ledger.holds import Hold, iso
from gaugepost.ledger.unreadable import MS_DIGITS, UNREADABLE, parse_number
from gaugepost.ledger.wait_reasons import hold_over, reason_and_end, stopping_hold
from gaugepost.redaction import redact
from gaugepost.states import ENDED, JobState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gaugepost.encryption import Cipher
    from gaugepost.ledger.presence import Presence
    from gaugepost.regions import Region
    from gaugepost.transitions import Attempt

_NO_DATA = frozenset({*JobBase.model_fields, "configuration", "stored"})
"""Fields that are no data: common to all kinds, or set by the ledger."""


@dataclass(frozen=True, slots=True)
class JobView:
    """The current state of one job. Times are Unix ms. `job`: the accepted job as a dict.

    `sealed`: why this process could not decrypt some of it (the job, its result or its messages); None: it could.
    """

    id: str
    region: Region
    state: JobState
    job: dict[str, Any] = field(repr=False)
    enqueued_at: int
    stamp: int = 0
    """Its enqueue stamp in µs; stamps order the jobs of a region."""
    revision: int = 0
    """How often a person has edited it."""
    held_by: str | None = None
    """Scope of the hold under which it is parked."""
    reason: str | None = None
    meaning: str = ""
    """An explanation of the reason, if it is that of a hold."""
    hold: Hold | None = None
    """The hold that stops it, whether it is parked or not."""
    until: int | None = None
    verdict: str | None = None
    ended_at: int | None = None
    result: dict[str, Any] | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = field(default=(), repr=False)
    history: History = field(default_factory=History)
    sealed: str | None = None
    no_worker: str | None = None
    """A text that says since when its region has no worker, if it waits for one."""
    late: str | None = None
    """A text that says since when it is due, and why it still waits."""
    erased_at: int | None = None
    """When `gaugepost erase` removed its data, or marked it to be removed once it is sent."""
    matched: str | None = None
    """For a job that `find` found: the sort of the reference, such as `email`."""

    @property
    def why_waits(self) -> str | None:
        """Why it waits, and why it is late; None if it does not wait."""
        return "; ".join(filter(None, (self.reason, self.late))) or None

    @property
    def kind(self) -> str:
        """The kind; `unreadable` for a job that cannot be parsed."""
        return str(self.job["kind"])

    @property
    def has_ended(self) -> bool:
        """Whether gaugepost does nothing more with the job by itself."""
        return self.state in ENDED

    @property
    def to_do(self) -> str:
        """What to do about the hold that stops it; empty without a hold."""
        return action(self.hold, self.region) if self.hold else ""

    @property
    def last_verdict(self) -> str | None:
        """The verdict with which it ended, or that of its last attempt."""
        attempts = self.history.attempts()
        return self.verdict or (attempts[-1].verdict if attempts else None)

    def data(self) -> dict[str, Any]:
        """Return the data to deliver: the fields of its kind. Raises DataSealed."""
        if self.sealed:
            raise DataSealed(self.sealed)
        return {name: value for name, value in self.job.items() if name not in _NO_DATA}

    def to_dict(self, *, show_data: bool = False) -> dict[str, Any]:
        """Return the job in the form of `job --json`. With `show_data` add `data`, and do not redact row messages."""
        data = {"data": None if self.sealed else self.data()} if show_data else {}
        matched = {"matched": self.matched} if self.matched else {}
        result = {} if show_data else {"result": redact(self.result)}
        erased = {"erased": iso(self.erased_at)} if self.erased_at else {}
        return self._facts() | result | data | self._why_sealed() | matched | erased

    def _why_sealed(self) -> dict[str, Any]:
        return {"sealed": self.sealed} if self.sealed else {}

    def _facts(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind,
            "region": str(self.region),
            "state": str(self.state),
            "reason": self.why_waits,
            "meaning": self.meaning or None,
            "until": iso(self.until),
            "hold": self.hold and {"scope": self.hold.scope or "region", **explained(self.hold, self.region)},
            "verdict": self.last_verdict,
            "attempts": [_shown(attempt) for attempt in self.history.attempts()],
            "checks": [{**entry, "at": iso(entry["at"])} for entry in self.history.checks()],
            "result": self.result,
            "warnings": list(self.warnings),
            "enqueued_at": iso(self.enqueued_at),
            "ended_at": iso(self.ended_at),
            "idempotency_key": self.job.get("idempotency_key"),
            "source": self.job.get("source"),
            "configuration": self.job.get("configuration"),
            "deliver_at": self.job.get("deliver_at"),
            "urgent": self.job.get("urgent", self.kind == "personal_link"),
            "labels": self.job.get("labels", []),
            "batch": self.job.get("batch"),
            "timeline": self.timeline(),
        }

    def timeline(self) -> list[dict[str, Any]]:
        """Return its events, oldest first: dicts with `at` (ISO 8601), `event` and the fields of that event."""
        first = {"at": iso(self.enqueued_at), "event": "enqueued"}
        later = [{**entry, "at": iso(entry["at"])} for entry in self.history.entries]
        last = [{"at": iso(self.ended_at), "event": str(self.state)}] if self.ended_at is not None else []
        if later and later[-1]["event"] == "erased":  # the only event after the end
            last.append(later.pop())
        return [first, *later, *last]


def _shown(attempt: Attempt) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "n": attempt.n,
        "at": iso(attempt.at),
        "ms": attempt.ms,
        "status": attempt.status,
        "verdict": str(attempt.verdict),
        "message": attempt.message,
    }
    return shown | ({"field_errors": dict(attempt.field_errors)} if attempt.field_errors else {})


def read_view(
    job_id: str, region: Region, flat: Sequence[bytes], holds: Mapping[str, Hold], presence: Presence, cipher: Cipher
) -> JobView | None:
    """Parse a job from the flat list of HGETALL; None if it is empty.

    A job that cannot be parsed gets the kind `unreadable`, so that it does not hide the other jobs of a listing.
    """
    if not flat:
        return None
    try:
        return _read_view(job_id, region, flat, holds, presence, cipher)
    except UNREADABLE:
        reason = "its record cannot be read"
        return JobView(job_id, region, _state_in(flat), {"kind": "unreadable"}, enqueued_at=0, reason=reason)


def _state_in(flat: Sequence[bytes]) -> JobState:
    found = flat[flat.index(b"state") + 1].decode(errors="replace") if b"state" in flat else ""
    return JobState(found) if found in set(JobState) else JobState.UNKNOWN


def _read_view(
    job_id: str, region: Region, flat: Sequence[bytes], holds: Mapping[str, Hold], presence: Presence, cipher: Cipher
) -> JobView:
    found = dict(zip((name.decode() for name in flat[::2]), flat[1::2], strict=True))
    text = {name: value.decode() for name, value in found.items() if name not in {"history", "job"}}
    decryption = Decryption(job_id, cipher)
    state = JobState(text["state"])
    job = decryption.job(found["job"])
    job.update(_fields_beside(text))
    _ = job["kind"]  # every job has one; raises KeyError for a damaged job
    over = hold_over(job, holds, is_canary="canary" in text)
    reason, until = reason_and_end(state, text, over, holds)
    hold = stopping_hold(state, text, over, holds)
    stamp = parse_number(text, "enqueued" if "enqueued" in text else "at")
    no_worker, late = presence.unattended(state, until, under_hold=hold is not None)
    return JobView(
        id=job_id,
        region=region,
        state=state,
        job=job,
        enqueued_at=stamp // 1000,
        stamp=stamp,
        revision=parse_number(text, "revision") if "revision" in text else 0,
        held_by=text["scope"] if text.get("scope") in holds else None,
        reason=no_worker if state is JobState.QUEUED and reason is None else reason,
        meaning=meaning(hold) if hold else meaning_of_reason(reason, lifted=bool(text.get("scope"))),
        hold=hold,
        until=None if late else until,
        verdict=text.get("verdict"),
        ended_at=parse_number(text, "ended", MS_DIGITS) if "ended" in text else None,
        result=decryption.json(found["result"], None) if "result" in found else _no_result(state),
        warnings=tuple(json.loads(text.get("warnings", "[]"))),
        history=read_history(found.get("history", b""), decryption),
        sealed=decryption.why,
        no_worker=no_worker,
        erased_at=parse_number(text, "erased", MS_DIGITS) if "erased" in text else None,
        late=late,
    )


def _fields_beside(text: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a job that its hash has beside its JSON: see `JobBase.to_json`."""
    due = {"deliver_at": iso(parse_number(text, "due", MS_DIGITS))} if "due" in text else {}
    return due | ({"batch": text["batch"]} if "batch" in text else {})


def _no_result(state: JobState) -> dict[str, Any] | None:
    """Return an empty result for a delivered job, because most kinds have no result fields; otherwise None."""
    return {} if state is JobState.DELIVERED else None
