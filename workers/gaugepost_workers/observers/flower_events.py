"""Shows jobs in Flower: Celery's own task events, one task a job.

Name = `gaugepost.<kind>`, uuid = job id; a parked job is RETRY with its reason, a dead one FAILURE with its verdict.
No personal data in any of it: arguments are empty, and reasons are words of the policy. Names are frozen by a test.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from gaugepost.ledger.explanations import meaning_of_reason
from gaugepost.transitions import Dead, Delivered, Held, Parked, Requeued, Resend, Unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from celery import Celery

    from gaugepost.ledger import Claimed, Settlement

log = structlog.get_logger("gaugepost.events")

_BUFFER_LIMIT = 500
_LARGE_CLAIM = 10


class TaskEvents:
    """Sends the events of one worker, buffered. Used by one thread."""

    def __init__(self, app: Celery, hostname: str) -> None:
        self._app = app
        self._hostname = hostname
        self._dispatcher: Any = None

    def claimed(self, jobs: Sequence[Claimed]) -> None:
        """Tell that jobs were received and begun; of a large parcel together with what becomes of the first of it."""
        self._send([event for claimed in jobs for event in _started(claimed)], flush=len(jobs) < _LARGE_CLAIM)

    def settled(self, settlements: Sequence[Settlement]) -> None:
        """Tell what became of jobs."""
        now = time.time()
        self._send([ended(settlement, now) for settlement in settlements])

    def _send(self, events: Sequence[tuple[str, dict[str, Any]]], *, flush: bool = True) -> None:
        """Send events; they are a view for people, so trouble with them never touches a job."""
        if not events:
            return
        try:
            dispatcher = self._dispatcher or self._connect()
            for name, fields in events:
                dispatcher.send(name, **fields)
            if flush:
                dispatcher.flush()
        except Exception as error:  # noqa: BLE001 - any of kombu's and redis'
            log.warning("events not sent", error=type(error).__name__)
            self._dispatcher = None

    def _connect(self) -> Any:  # noqa: ANN401 - kombu has no types
        self._dispatcher = self._app.events.Dispatcher(
            self._app.connection_for_write(),
            hostname=self._hostname,
            buffer_group=frozenset({"task"}),
            buffer_limit=_BUFFER_LIMIT,
        )
        return self._dispatcher


def _started(claimed: Claimed) -> list[tuple[str, dict[str, Any]]]:
    name = f"gaugepost.{claimed.job.kind}"
    received = {"uuid": claimed.id, "name": name, "args": "", "kwargs": "", "retries": claimed.history.last_n}
    return [
        ("task-received", {**received, "eta": None, "root_id": claimed.id, "parent_id": None}),
        ("task-started", {"uuid": claimed.id}),
    ]


def ended(settlement: Settlement, now: float) -> tuple[str, dict[str, Any]]:
    """Return the event that tells what became of one job; `now` is Unix time in seconds."""
    uuid = settlement.claimed.id
    attempts = settlement.attempts
    why = f" ({attempts[-1].verdict})" if attempts else ""
    match settlement.decision.transition:
        case Delivered():
            runtime = sum(attempt.ms for attempt in attempts) / 1000
            # No exception: Flower would go on showing what the job last waited for.
            return "task-succeeded", {"uuid": uuid, "result": "delivered", "runtime": runtime, "exception": ""}
        case Parked(delay_ms, reason):
            until = datetime.fromtimestamp(now + delay_ms / 1000, UTC)
            return _retried(uuid, f"parked: {reason} until {until:%Y-%m-%d %H:%M:%S} UTC")
        case Held(_, reason, _, words):
            explanation = words or meaning_of_reason(reason)
            return _retried(uuid, f"parked: {reason}{explanation and f' ({explanation})'}, until its hold is lifted")
        case Requeued() | Resend():
            return _retried(uuid, f"queued again{why}")
        case Unknown(reason):
            return "task-failed", {"uuid": uuid, "exception": f"unknown: {reason}", "traceback": ""}
        case Dead(verdict):
            return "task-failed", {"uuid": uuid, "exception": f"dead: {verdict}", "traceback": ""}


def _retried(uuid: str, exception: str) -> tuple[str, dict[str, Any]]:
    return "task-retried", {"uuid": uuid, "exception": exception, "traceback": ""}
