"""The calls of workers: claim, mark, settle, renew, rescue, and the ticks. They are values; nothing is sent."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from gaugepost.encryption import CLEAR, NO_CIPHER, Cipher
from gaugepost.errors import DataSealed
from gaugepost.jobs import AnyJob, CloseLoop, parse_job_json
from gaugepost.jobs.common import SealedJob
from gaugepost.ledger.chunks import chunks
from gaugepost.ledger.notices import Notice, read_notices
from gaugepost.ledger.presence import NO_BEAT_MS
from gaugepost.ledger.scripts import Argument, Call
from gaugepost.ledger.unreadable import UnreadableJob, read_each
from gaugepost.ledger.views import History, read_history
from gaugepost.transitions import (
    Attempt,
    Check,
    Dead,
    Decision,
    Delivered,
    Held,
    HoldSpec,
    Parked,
    Phase,
    Requeued,
    Resend,
    Streak,
    Unknown,
)
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gaugepost.keys import Keys

DUE_A_SECOND = 2_000
DUE_AT_ONCE = 250
RELEASED_A_SECOND = 200
HOLDS_AT_ONCE = 250
SWEPT_AT_ONCE = 500
SLOT_SLACK_MS = 1_000

_NO_ANSWER = frozenset({Verdict.UNREACHABLE, Verdict.LOST_ANSWER, Verdict.UNREADABLE_SUCCESS})
_OLDER_VERDICT = {Verdict.UNREADABLE_SUCCESS: Verdict.SERVER_ERROR}
"""Newer verdict → the one that a job's history has for older workers, which set aside jobs that they cannot parse."""


def slot_ms(interval_s: float) -> int:
    """Return the time between two upload slots in ms: the interval and SLOT_SLACK_MS, but at most a tenth more.

    CustomerGauge measures from arrival to arrival, and one upload may take longer to arrive than the next.
    """
    interval = interval_s * 1000
    return int(interval + min(SLOT_SLACK_MS, interval / 10))


@dataclass(frozen=True, slots=True)
class Claimed:
    """One job that a worker has claimed, under a lease and this fencing token.

    `fence`: the fencing token. `holder`: a random name of the claim; after a fail-over of Redis two claims may have the
    same fencing token. `enqueued_at`: Unix ms. `probe`: the scope of the hold for which this job is the probe (None: no
    probe); `probe_verdict`: the verdict of that hold. A file with a `phase` was sent: the worker must read its upload
    statistics. `job`: a SealedJob if this process lacks its key. The encrypted parts of `history` stay encrypted.
    """

    id: str
    fence: int
    enqueued_at: int
    job: AnyJob | SealedJob = field(repr=False)
    history: History = field(repr=False)
    probe: str | None = None
    probe_verdict: Verdict | None = None
    phase: Phase = Phase.NONE
    holder: str = ""


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """The jobs of one claim, how many ready jobs are left, and the claimed jobs that cannot be parsed."""

    jobs: list[Claimed]
    left: int
    unreadable: tuple[UnreadableJob, ...] = ()


@dataclass(frozen=True, slots=True)
class EndedLease:
    """A claimed job whose lease has ended. `once`: must not be sent twice. `marked`: a worker may have sent it."""

    claimed: Claimed
    once: bool
    marked: bool


@dataclass(frozen=True, slots=True)
class BeatStatus:
    """The answer to a worker's report that it lives.

    `beat_ago`: seconds since beat ticked (None: never). `ticks`: names of the ticks that this worker must run itself.
    """

    beat_ago: float | None
    ticks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settlement:
    """The outcome of a claimed job: the decision, and the attempts or the request for statistics that led to it.

    `warms`: record that its configuration delivers. `began`: `time.monotonic()` at the start of the last request. The
    script gets it as an age, so that only Redis' clock decides whether a request began before a failure was recorded.
    """

    claimed: Claimed
    decision: Decision
    attempts: tuple[Attempt, ...] = ()
    check: Check | None = None
    warms: bool = False
    began: float | None = None

    def to_json(self, cipher: Cipher = NO_CIPHER) -> bytes:
        """Return the argument of settle.lua."""
        ask: dict[str, Any] = {"id": self.claimed.id, "fence": self.claimed.fence, "holder": self.claimed.holder}
        ask |= _transition(self.decision, self.claimed.job.mapping, cipher)
        if isinstance(self.claimed.job, CloseLoop) and self.claimed.job.happened_at and ask["to"] == "delivered":
            ask["happened"] = self.claimed.job.happened_at
        ask |= self._for_holds()
        if self.attempts:
            ask["entry"] = "\n".join(_entry(attempt, cipher) for attempt in self.attempts)
            if self.attempts[-1].verdict not in _NO_ANSWER or self._passed_proxy():
                ask["answered"] = True
        if self.check is not None:
            ask["entry"] = _check_entry(self.check)
            ask["answered"] = _answers(self.check.status)
        if self.decision.ends_streaks:
            ask["ends"] = self.decision.ends_streaks
        if self.warms:
            ask["warm"] = self.claimed.job.mapping
        return to_json(ask)

    def _for_holds(self) -> dict[str, Any]:
        ask: dict[str, Any] = {}
        if self.decision.hold is not None:
            ask["hold"] = hold_row(self.decision.hold)
        if self.decision.streak is not None:
            ask |= self._streak(self.decision.streak)
        if self.claimed.probe is not None:
            ask["probe"] = self.claimed.probe
        return ask | {"request": self._request(self.attempts[-1])} if ask and self.attempts else ask

    def _request(self, attempt: Attempt) -> dict[str, Any]:
        """Return the failed request in the form of causes.lua, for a hold that it opens or whose probe it was."""
        job = self.claimed.job
        row = {"verdict": attempt.verdict, "status": attempt.status, "kind": job.kind, "configuration": job.mapping}
        return {name: value for name, value in row.items() if value is not None}

    def _streak(self, streak: Streak) -> dict[str, Any]:
        job = self.claimed.job
        row = {"name": streak.name, "limit": streak.limit, "jobs": streak.jobs, "sorts": streak.sorts}
        row |= {"apart": streak.apart, "hold": hold_row(streak.hold)}
        ask: dict[str, Any] = {"streak": row, "sort": f"{job.kind} {job.mapping or ''}"}
        if self.began is not None:
            ask["age_ms"] = math.ceil((time.monotonic() - self.began) * 1000)
        return ask

    def _passed_proxy(self) -> bool:
        """Return whether the probe of a hold on the proxy got through the proxy, whatever its answer."""
        return self.claimed.probe_verdict is Verdict.UNREACHABLE and self.decision.hold is None


def hold_row(spec: HoldSpec) -> dict[str, Any]:
    """Return a hold in the form of the scripts."""
    row = {"scope": spec.scope, "reason": spec.reason, "verdict": spec.verdict, "probe_ms": spec.probe_ms}
    optional = {"give_up_ms": spec.give_up_ms, "label": spec.label, "fingerprint": spec.fingerprint}
    return row | {name: value for name, value in optional.items() if value is not None}


def _transition(decision: Decision, mapping: str | None, cipher: Cipher) -> dict[str, Any]:  # noqa: PLR0911 - one case for each transition
    match decision.transition:
        case Delivered(result, warnings):
            ask: dict[str, Any] = {"to": "delivered"}
            if result:
                ask["result"] = cipher.encrypt_text(json.dumps(dict(result)))
            if warnings:
                ask["warnings"] = json.dumps(warnings)  # not encrypted: it has no data, and settle.lua may add one
            return ask
        case Parked(delay_ms, reason, phase):
            ask = {"to": "parked", "delay_ms": delay_ms, "reason": reason}
            return ask | {"phase": phase} if phase else ask
        case Held(scope, reason, give_up_ms, _):
            ask = {"to": "parked", "scope": scope, "reason": reason}
            return ask if give_up_ms is None else ask | {"give_up_ms": give_up_ms}
        case Requeued(behind):
            return {"to": "queued", "aside": mapping, "first": behind} if behind else {"to": "queued"}
        case Resend():
            return {"to": "queued", "resend": True}
        case Dead(verdict):
            return {"to": "dead", "verdict": verdict}
        case Unknown(reason):
            return {"to": "unknown", "reason": reason}


def _answers(status: int | None) -> bool:
    """Return whether the status of a probe lifts its hold: a request for statistics can be a probe too."""
    return status is not None and status < 500 and status not in {401, 429}  # noqa: PLR2004 - HTTP's


def _check_entry(check: Check) -> str:
    line = {"event": "check", "at": check.at, "status": check.status, "found": check.found}
    if check.upload_id is not None:
        line["upload_id"] = check.upload_id
    if not check.readable:
        line["readable"] = False
    return to_json(line | {"processed": check.processed}).decode()


def _entry(attempt: Attempt, cipher: Cipher) -> str:
    line: dict[str, Any] = {"event": "attempt", "n": attempt.n, "at": attempt.at, "ms": attempt.ms}
    line["verdict"] = _OLDER_VERDICT.get(attempt.verdict, attempt.verdict)
    if attempt.verdict in _OLDER_VERDICT:
        line["exact"] = attempt.verdict
    if attempt.status is not None:
        line["status"] = attempt.status
    texts = _texts(attempt)
    if texts:
        line |= {"sealed": cipher.encrypt_text(json.dumps(texts))} if cipher.encrypts else texts
    if not attempt.counted:
        line["counted"] = False
    return to_json(line).decode()


def _texts(attempt: Attempt) -> dict[str, Any]:
    """Return CustomerGauge's texts. They are encrypted, because they may quote data although they were redacted."""
    texts: dict[str, Any] = {"message": attempt.message} if attempt.message else {}
    if attempt.field_errors:
        texts["field_errors"] = {name: list(errors) for name, errors in attempt.field_errors.items()}
    return texts


class WorkerCalls:
    """Make the calls of a worker for one region."""

    def __init__(self, keys: Keys, lease_ms: int, slot_ms: int, lanes: Sequence[str], cipher: Cipher) -> None:
        self.keys = keys
        self._lease_ms = lease_ms
        self._slot_ms = slot_ms
        self._lanes = lanes
        self._cipher = cipher
        self._queues = (self.keys.prefix, self.keys.queue, self.keys.urgent_queue)

    def claim(self, worker: str, token: str, limit: int, concurrency: int, *, urgent_only: bool) -> Call[ClaimResult]:
        """Claim up to `limit` jobs. `token`: a random name of this claim, which becomes the `holder` of its jobs.

        A repeated call with the same token returns the same jobs.
        """
        args: list[Argument] = [worker, token, limit, self._lease_ms, self._slot_ms, concurrency]
        args += ["1" if urgent_only else "", *self._lanes]
        return Call("claim", self._queues, args, lambda answer: _read_claim(answer, self._cipher, token))

    def settle(self, settlements: Sequence[Settlement], *, rescue: bool = False) -> Iterator[Call[list[bool]]]:
        """Record the outcomes of claimed jobs. Return False for a job that this worker has lost."""
        for some in chunks((settlement.to_json(self._cipher) for settlement in settlements), len):
            args = ["1" if rescue else "", *some]
            yield Call("settle", self._queues, args, lambda answer: [bool(one) for one in answer])

    def mark(self, claimed: Claimed) -> Call[tuple[int, int]]:
        """Write the sending mark of a job; a file also takes the upload slot.

        Return (1, 0), or (0, ms until the slot opens), or (-1, 0) if the lease is lost.
        """
        slot: Argument = self._slot_ms if claimed.job.kind == "file" else ""
        args: list[Argument] = [claimed.id, claimed.fence, claimed.holder, slot]
        return Call("mark", self._queues[:1], args, lambda answer: (int(answer[0]), int(answer[1])))

    def renew(self, jobs: Sequence[Claimed]) -> Call[list[bool]]:
        """Renew leases. Return False for a job that this worker has lost."""
        args: list[Argument] = [self._lease_ms]
        for claimed in jobs:
            args += (claimed.id, claimed.fence, claimed.holder)
        return Call("renew", self._queues[:1], args, lambda answer: [bool(one) for one in answer])

    def set_aside(self, jobs: Sequence[UnreadableJob], at: int, *, rescue: bool = False) -> Call[list[bool]]:
        """Settle claimed jobs that cannot be parsed as dead or unknown."""
        args = ["1" if rescue else "", *(one.to_json(at) for one in jobs)]
        return Call("settle", self._queues, args, lambda answer: [bool(one) for one in answer])

    def ended_leases(self, limit: int) -> Call[tuple[int, list[EndedLease], tuple[UnreadableJob, ...]]]:
        """List the jobs whose lease has ended, and those of them that cannot be parsed.

        The first value is the number of leases that were extended, because Redis' clock jumped over their ends.
        """
        args: list[Argument] = [limit, self._lease_ms]
        return Call("ended_leases", self._queues[:1], args, lambda answer: _read_ended_leases(answer, self._cipher))

    def promote(self, credentials: Mapping[str, str]) -> Call[tuple[int, bool, tuple[Notice, ...]]]:
        """Release due jobs, at a rate that Redis' clock limits.

        Return their number, whether more can be released now, and notices for the caller's log.
        `credentials`: need → fingerprint of the caller's credential; a hold for another one is lifted.
        """
        args: list[Argument] = [DUE_A_SECOND, RELEASED_A_SECOND, self._lease_ms, DUE_AT_ONCE, HOLDS_AT_ONCE]
        args += [part for credential in credentials.items() for part in credential]
        return Call("promote", self._queues, args, _read_promoted)

    def alive(self, worker: str, up_ms: int, pushed: Argument, ticks: Mapping[str, float]) -> Call[BeatStatus]:
        """Report that a worker lives; get the ticks that it must run itself.

        `up_ms`: ms since it started. `pushed`: when beat pushed the newest tick that the worker took, Unix ms; or
        `now`; or empty. `ticks`: name → seconds between two.
        """
        args: list[Argument] = [worker, up_ms, pushed, NO_BEAT_MS]
        for tick, every_s in ticks.items():
            args += (tick, int(every_s * 1000))
        return Call("alive", self._queues[:1], args, _read_alive)

    def leave(self, worker: str) -> Call[bool]:
        """Report that a worker has ended."""
        return Call("leave", self._queues[:1], [worker], bool)

    def open_slot(self) -> Call[bool]:
        """Push a bell for the next file if the upload slot is open."""
        return Call("open_slot", self._queues, [self._slot_ms, *self._lanes], bool)

    def sweep(self, retention_ms: dict[str, int], content_ms: int) -> Call[int]:
        """Delete a bounded number of ended jobs and sent contents whose retention is over; return how many jobs.

        `retention_ms`: state → ms.
        """
        args: list[Argument] = [SWEPT_AT_ONCE, content_ms]
        for state, retention in retention_ms.items():
            args += (state, retention)
        return Call("sweep", self._queues[:1], args, int)


def _read_alive(answer: Sequence[Any]) -> BeatStatus:
    beat_ms, *ticks = answer
    return BeatStatus(None if beat_ms < 0 else beat_ms / 1000, tuple(tick.decode() for tick in ticks))


def _read_promoted(answer: Sequence[Any]) -> tuple[int, bool, tuple[Notice, ...]]:
    released, more, notices = answer
    return int(released), bool(more), read_notices(notices)


def _read_job(text: bytes, cipher: Cipher, *, once: bool) -> AnyJob | SealedJob:
    """Decrypt and parse a job; without the key, make a SealedJob of its readable fields and `once`."""
    try:
        return parse_job_json(cipher.decrypt_job(text))
    except DataSealed:
        found = json.loads(text)
        clear = {name: found.get(name) for name in CLEAR}
        on_unknown = "hold" if once and found["kind"] != "file" else "retry"  # a file is searched in the statistics
        return SealedJob.model_validate(clear | {"on_unknown": on_unknown})


def _read_claimed(
    row: Sequence[bytes], cipher: Cipher, probe: bytes, verdict: bytes, phase: bytes = b"", *, once: bool = False
) -> Claimed:
    job_id, fence, holder, stamp, job, history = row
    return Claimed(
        id=job_id.decode(),
        fence=int(fence),
        enqueued_at=int(stamp) // 1000,
        job=_read_job(job, cipher, once=once),
        history=read_history(history),
        probe=probe[1:].decode() if probe else None,
        probe_verdict=Verdict(verdict.decode()) if verdict else None,
        phase=Phase(phase.decode()),
        holder=holder.decode(),
    )


def _read_claim(answer: list[bytes], cipher: Cipher, holder: str) -> ClaimResult:
    starts = range(1, len(answer), 8)
    rows = [[*answer[start : start + 2], holder.encode(), *answer[start + 2 : start + 8]] for start in starts]
    jobs, unreadable = read_each(rows, lambda row: _read_claimed(row[:6], cipher, *row[6:]), lambda row: bool(row[8]))
    return ClaimResult(jobs, int(answer[0]), unreadable)


def _read_ended_leases(answer: list[bytes], cipher: Cipher) -> tuple[int, list[EndedLease], tuple[UnreadableJob, ...]]:
    rows = [answer[start : start + 10] for start in range(1, len(answer), 10)]
    ended, unreadable = read_each(rows, lambda row: _read_ended_lease(row, cipher), lambda row: row[7] == b"1")
    return int(answer[0]), ended, unreadable


def _read_ended_lease(row: Sequence[bytes], cipher: Cipher) -> EndedLease:
    once = row[6] == b"1"
    return EndedLease(_read_claimed(row[:6], cipher, row[8], row[9], once=once), once, row[7] == b"1")
