"""What a job's record looks like to people: read from its hash, with the holds that tell why it waits.

The keys of `JobView.to_dict` are those of `job --json`, which users rely on: add some, change none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gaugepost.errors import DataSealed
from gaugepost.jobs import JOBS
from gaugepost.jobs.common import JobBase
from gaugepost.ledger.decryption import Opening
from gaugepost.ledger.explanations import action, explained, meaning, meaning_of_reason
from gaugepost.ledger.holds import Hold, iso
from gaugepost.ledger.unreadable import MS_DIGITS, STAMP_DIGITS, UNREADABLE, read_number
from gaugepost.redaction import redact
from gaugepost.states import ENDED, JobState
from gaugepost.transitions import Attempt
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gaugepost.encryption import Cipher
    from gaugepost.ledger.presence import Presence
    from gaugepost.regions import Region

_VERDICTS = frozenset(map(str, Verdict))
_READY = frozenset({JobState.QUEUED, JobState.WAITING})
_NO_DATA = frozenset({*JobBase.model_fields, "configuration", "stored"})
"""Fields that have a column of their own, or are the ledger's."""


@dataclass(frozen=True, slots=True)
class History:
    """What happened to a job so far: one entry an event, oldest first."""

    entries: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    def attempts(self) -> list[Attempt]:
        """Return all attempts."""
        return [_attempt(entry) for entry in self.entries if entry["event"] == "attempt"]

    def since_replay(self) -> list[Attempt]:
        """Return the attempts since the job was enqueued or last replayed: those that count."""
        entries: list[dict[str, Any]] = []
        for entry in self.entries:
            entries = [] if entry["event"] == "replayed" else [*entries, entry]
        return History(tuple(entries)).attempts()

    def checks(self) -> list[dict[str, Any]]:
        """Return all looks at the upload statistics."""
        return [entry for entry in self.entries if entry["event"] == "check"]

    @property
    def last_n(self) -> int:
        """Return the number of the last attempt, 0 if there was none."""
        return max((entry.get("n", 0) for entry in self.entries), default=0)


_NOTHING = History()


def read_history(lines: bytes, opening: Opening | None = None) -> History:
    """Read the job's record: one JSON object a line; what is sealed of it only with an `opening`."""
    if not lines:
        return _NOTHING
    entries = (_exact(json.loads(line)) for line in lines.splitlines())
    history = History(tuple(entries if opening is None else map(opening.entry, entries)))
    history.attempts()  # so that a line that cannot be read is found here, and not in the middle of a delivery
    return history


def _exact(entry: dict[str, Any]) -> dict[str, Any]:
    """Take an attempt's exact verdict, if this version knows it, in place of the one that older versions know."""
    exact = entry.pop("exact", None)
    return entry | {"verdict": exact} if exact in _VERDICTS else entry


def _attempt(entry: Mapping[str, Any]) -> Attempt:
    return Attempt(
        n=entry["n"],
        at=entry["at"],
        ms=entry["ms"],
        status=entry.get("status"),
        verdict=Verdict(entry["verdict"]),
        message=entry.get("message", ""),
        counted=entry.get("counted", True),
        field_errors=entry.get("field_errors", {}),
    )


@dataclass(frozen=True, slots=True)
class JobView:
    """One job as it stands on its record. Times are Unix ms; `job` is the job itself, as it was accepted.

    `sealed` tells why some of it could not be opened here (None: all was): its job, its result or its messages.
    """

    id: str
    region: Region
    state: JobState
    job: dict[str, Any] = field(repr=False)
    enqueued_at: int
    stamp: int = 0
    """Its enqueue stamp, µs: the order of jobs."""
    revision: int = 0
    """How often a person has edited it."""
    held_by: str | None = None
    """Scope of the hold under which it is parked."""
    reason: str | None = None
    meaning: str = ""
    """Half a sentence about the reason, where it is one of a hold."""
    hold: Hold | None = None
    """The hold that keeps it, parked or not."""
    until: int | None = None
    verdict: str | None = None
    ended_at: int | None = None
    result: dict[str, Any] | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = field(default=(), repr=False)
    history: History = field(default_factory=History)
    sealed: str | None = None
    no_worker: str | None = None
    """Since when no worker of its region has been seen, if it waits for one."""
    late: str | None = None
    """Since when it should have gone on, and why it has not."""

    @property
    def why_waits(self) -> str | None:
        """Return its reason in words; with why it is late, if it is."""
        return "; ".join(filter(None, (self.reason, self.late))) or None

    @property
    def kind(self) -> str:
        """Return its kind."""
        return str(self.job["kind"])

    @property
    def has_ended(self) -> bool:
        """Tell whether nothing more happens to it by itself."""
        return self.state in ENDED

    @property
    def to_do(self) -> str:
        """Return what to do about the hold that keeps it."""
        return action(self.hold, self.region) if self.hold else ""

    @property
    def last_verdict(self) -> str | None:
        """Return the verdict it ended with, or that of its last attempt."""
        attempts = self.history.attempts()
        return self.verdict or (attempts[-1].verdict if attempts else None)

    def data(self) -> dict[str, Any]:
        """Return what is to be delivered: the fields that this kind has of its own. Raises DataSealed."""
        if self.sealed:
            raise DataSealed(self.sealed)
        return {name: value for name, value in self.job.items() if name not in _NO_DATA}

    def to_dict(self, *, show_data: bool = False) -> dict[str, Any]:
        """Return it as `job --json` shows it; with `show_data` also `data`, and all that row messages say."""
        data = {"data": None if self.sealed else self.data()} if show_data else {}
        return self._facts() | ({} if show_data else {"result": redact(self.result)}) | data | self._why_sealed()

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
            "urgent": self.job.get("urgent", self.kind == "personal_link"),
            "labels": self.job.get("labels", []),
            "timeline": self.timeline(),
        }

    def timeline(self) -> list[dict[str, Any]]:
        """Return what happened to it, oldest first: `at` (ISO 8601), `event`, and what belongs to that event."""
        first = {"at": iso(self.enqueued_at), "event": "enqueued"}
        later = [{**entry, "at": iso(entry["at"])} for entry in self.history.entries]
        last = [{"at": iso(self.ended_at), "event": str(self.state)}] if self.ended_at is not None else []
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
    """Read a job from its hash as Redis' flat list; None if it is empty. One that cannot be read hides no other."""
    if not flat:
        return None
    try:
        return _read_view(job_id, region, flat, holds, presence, cipher)
    except UNREADABLE:
        told = "its record cannot be read"
        return JobView(job_id, region, _state_in(flat), {"kind": "unreadable"}, enqueued_at=0, reason=told)


def _state_in(flat: Sequence[bytes]) -> JobState:
    found = flat[flat.index(b"state") + 1].decode(errors="replace") if b"state" in flat else ""
    return JobState(found) if found in set(JobState) else JobState.UNKNOWN


def _read_view(
    job_id: str, region: Region, flat: Sequence[bytes], holds: Mapping[str, Hold], presence: Presence, cipher: Cipher
) -> JobView:
    found = dict(zip((name.decode() for name in flat[::2]), flat[1::2], strict=True))
    text = {name: value.decode() for name, value in found.items() if name not in {"history", "job"}}
    opening = Opening(job_id, cipher)
    state = JobState(text["state"])
    job = opening.job(found["job"])
    _ = job["kind"]  # a job has one, whatever else it has
    over = _hold_over(job, holds)
    reason, until = _why(state, text, over, holds)
    hold = _keeping(state, text, over, holds)
    no_worker, late = presence.unattended(state, until, under_hold=hold is not None)
    return JobView(
        id=job_id,
        region=region,
        state=state,
        job=job,
        enqueued_at=_number(text, "at") // 1000,
        stamp=_number(text, "at"),
        revision=_number(text, "revision") if "revision" in text else 0,
        held_by=text["scope"] if text.get("scope") in holds else None,
        reason=no_worker if state is JobState.QUEUED and reason is None else reason,
        meaning=meaning(hold) if hold else meaning_of_reason(reason, lifted=bool(text.get("scope"))),
        hold=hold,
        until=None if late else until,
        verdict=text.get("verdict"),
        ended_at=_number(text, "ended", MS_DIGITS) if "ended" in text else None,
        result=opening.json(found["result"], None) if "result" in found else _no_result(state),
        warnings=tuple(json.loads(text.get("warnings", "[]"))),
        history=read_history(found.get("history", b""), opening),
        sealed=opening.why,
        no_worker=no_worker,
        late=late,
    )


def _number(text: Mapping[str, str], name: str, digits: int = STAMP_DIGITS) -> int:
    found = read_number(text[name], digits)
    if found is None:
        raise ValueError(f"{name}: expected a whole number")
    return found


def _no_result(state: JobState) -> dict[str, Any] | None:
    """Most kinds answer nothing but that it was taken: an empty result, not a missing one."""
    return {} if state is JobState.DELIVERED else None


def _of_held(text: Mapping[str, str], hold: Hold | None) -> tuple[str | None, int | None]:
    """Return why a job is parked under a hold: its own word for it, unless the hold has more, or is a person's."""
    if hold is None:
        return text.get("reason"), None
    return (text.get("reason") if hold.verdict and not hold.label else hold.reason), hold.ends


def scopes_of_kind(model: type[JobBase]) -> tuple[str, str, str]:
    """Return the scopes of the holds that all jobs of a kind meet."""
    return "", f"credentials:{model.needs}", f"endpoints:{model.endpoints}"


def _hold_over(job: Mapping[str, Any], holds: Mapping[str, Hold]) -> Hold | None:
    """Return the hold that a job which may go would meet: on its region, credentials, endpoints or mapping."""
    if not holds:
        return None
    scopes = (*scopes_of_kind(JOBS[job["kind"]]), f"configuration:{job.get('configuration', '')}")
    return next((holds[scope] for scope in scopes if scope in holds), None)


def _keeping(state: JobState, text: Mapping[str, str], over: Hold | None, holds: Mapping[str, Hold]) -> Hold | None:
    """Return the hold that keeps a job from being sent: that it waits for, or that it would meet."""
    if state in _READY:
        return over if over and text.get("probe") != over.scope else None
    return holds.get(text["scope"]) if "scope" in text else None


def _why(
    state: JobState, text: Mapping[str, str], over: Hold | None, holds: Mapping[str, Hold]
) -> tuple[str | None, int | None]:
    """Tell why a job waits, and until when: its own reason, or that of the hold that keeps it."""
    if over and _keeping(state, text, over, holds) is over and state is not JobState.PARKED:
        return f"hold: {over.reason}", over.ends
    if state is JobState.WAITING:
        return ("slot" if text.get("lane", "").startswith("files") else "lane"), None
    if "scope" in text:
        return _of_held(text, holds.get(text["scope"]))
    return text.get("reason"), _number(text, "until", MS_DIGITS) if "until" in text else None
