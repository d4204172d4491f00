"""Settlements: the outcomes of claimed jobs, in the form of settle.lua."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from gaugepost.encryption import NO_CIPHER
from gaugepost.ledger.references import result_reference
from gaugepost.transitions import (
    Attempt,
    Check,
    Dead,
    Decision,
    Delivered,
    Held,
    HoldSpec,
    Parked,
    Requeued,
    Resend,
    Streak,
    Unknown,
)
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from gaugepost.encryption import Cipher
    from gaugepost.ledger.claims import Claimed

_NO_ANSWER = frozenset({Verdict.UNREACHABLE, Verdict.LOST_ANSWER, Verdict.UNREADABLE_SUCCESS})
_OLDER_VERDICT = {Verdict.UNREADABLE_SUCCESS: Verdict.SERVER_ERROR}
"""Newer verdict → the one that a job's history has for older workers, which set aside jobs that they cannot parse."""

_FIELDS = 3
"""Names of refused fields in the reason of a canary, at most."""


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
        ask |= _transition(self.decision, self.claimed.job.mapping, cipher) | result_reference(self.decision, cipher)
        ask |= self._for_holds()
        if self.attempts:
            ask["entry"] = "\n".join(_entry(attempt, cipher) for attempt in self.attempts)
            if self.attempts[-1].verdict not in _NO_ANSWER or self._passed_proxy():
                ask["answered"] = True
        if self.check is not None:
            ask["entry"] = _check_entry(self.check)
            ask["answered"] = self.check.answered
        if isinstance(self.decision.transition, Dead) and self.attempts and self.attempts[-1].field_errors:
            ask["fields"] = ", ".join(sorted(self.attempts[-1].field_errors)[:_FIELDS])
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
        """Return the failed request as failed_requests.lua stores it, for the hold that it opens or probed."""
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
        case Delivered() as delivered:
            return _delivered(delivered, cipher)
        case Parked(delay_ms, reason, phase):
            ask: dict[str, Any] = {"to": "parked", "delay_ms": delay_ms, "reason": reason}
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


def _delivered(delivered: Delivered, cipher: Cipher) -> dict[str, Any]:
    ask: dict[str, Any] = {"to": "delivered"}
    if delivered.result:
        ask["result"] = cipher.encrypt_text(json.dumps(dict(delivered.result)))
    if delivered.warnings:
        ask["warnings"] = json.dumps(delivered.warnings)  # not encrypted: no data in it, and settle.lua may add one
    if delivered.happened_at:
        ask["happened"] = delivered.happened_at
    return ask


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
