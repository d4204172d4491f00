"""The claims of one worker: asks the ledger for jobs, and asks again under the same token if no answer came."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from gaugepost.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.ledger import Claimed, WorkerLedger
    from gaugepost_workers.clock import Clock

log = structlog.get_logger("gaugepost.dispatcher")


@dataclass(frozen=True, slots=True)
class Claim:
    """The jobs of one claim, and whether the ledger has more. `asked_at`: `clock.lease()` before the call."""

    jobs: Sequence[Claimed]
    more: bool
    asked_at: float


class Claims:
    """Claims jobs for one worker. For one thread.

    `worker`: this process' id in the ledger. `concurrency`: the number of its senders, for the ledger's statistics.
    `lease_s`: the length of a lease.
    """

    def __init__(self, ledger: WorkerLedger, worker: str, concurrency: int, lease_s: float, clock: Clock) -> None:
        self._ledger = ledger
        self._worker = worker
        self._concurrency = concurrency
        self._lease_s = lease_s
        self._clock = clock
        self._token = uuid.uuid4().hex
        self._asked_at = 0.0
        self._unanswered_since: float | None = None  # None: Redis answered the last claim

    def claim(self, limit: int, *, urgent_only: bool = False) -> Claim | None:
        """Claim up to `limit` jobs. Log and return None if Redis does not answer."""
        self._asked_at, lease_at = self._clock.monotonic(), self._clock.lease()
        try:
            taken = self._ledger.claim(self._worker, self._token, limit, self._concurrency, urgent_only=urgent_only)
        except StoreError as error:
            log.warning("claim failed", error=str(error))
            if self._unanswered_since is None:
                self._unanswered_since = self._asked_at
            return None
        self._unanswered_since = None
        self._token = uuid.uuid4().hex
        return Claim(taken.jobs, taken.left > 0, lease_at)

    def age(self) -> float:
        """Return the seconds since the last claim."""
        return self._clock.monotonic() - self._asked_at

    def may_hold_jobs(self) -> bool:
        """Return whether a claim without an answer may still hold jobs.

        The next claim gets them, because it has the same token. No bell would ring for them.
        """
        since = self._unanswered_since
        return since is not None and self._clock.monotonic() - since < self._lease_s
