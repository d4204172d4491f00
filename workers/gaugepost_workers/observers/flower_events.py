"""Shows jobs in Flower, by Celery's own task events: one task for each job.

Its name is `gaugepost.<kind>`, its uuid is the job id. A parked job is RETRY with its reason, a dead one is FAILURE
with its verdict. Events hold no personal data: arguments are empty, and reasons come from the policy.
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
    """An observer that sends Flower's events of one worker, buffered. For one thread."""

    def __init__(self, app: Celery, hostname: str) -> None:
        self._app = app
        self._hostname = hostname
        self._dispatcher: Any = None

    def claimed(self, jobs: Sequence[Claimed]) -> None:
        """Send that jobs were received and started. The events of a large claim wait for its first settlement."""
        self._send([event for claimed in jobs for event in _started(claimed)], flush=len(jobs) < _LARGE_CLAIM)

    def settled(self, settlements: Sequence[Settlement]) -> None:
        """Send the outcome of each job."""
        now = time.time()
        self._send([ended(settlement, now) for settlement in settlements])

    def _send(self, events: Sequence[tuple[str, dict[str, Any]]], *, flush: bool = True) -> None:
        """Send events. An error is logged and goes no further: Flower must not affect jobs."""
        if not events:
            return
        try:
            dispatcher = self._dispatcher or self._connect()
            for name, fields in events:
                dispatcher.send(name, **fields)
            if flush:
                dispatcher.flush()
        except Exception as error:  # noqa: BLE001 - any error of kombu or redis
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
    """Return the event of one job's outcome: its name and fields. `now` is Unix time in seconds."""
    uuid = settlement.claimed.id
    attempts = settlement.attempts
    why = f" ({attempts[-1].verdict})" if attempts else ""
    match settlement.decision.transition:
        case Delivered():
            runtime = sum(attempt.ms for attempt in attempts) / 1000
            # An empty exception: otherwise Flower would still show what the job last waited for.
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
