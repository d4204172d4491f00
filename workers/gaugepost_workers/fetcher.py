"""Fetches jobs for the senders: decides when to claim and how many, and starts the claimed jobs.

A bell only signals that there is work. A service that enqueues while a worker is awake need not ring: the worker asks
for work once more before it rests (`lua/lib/bells.lua`, awake). Urgent jobs have their own senders, and are claimed
even when all others are busy.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from gaugepost.ledger import Settlement
from gaugepost.transitions import Decision, Requeued
from gaugepost_workers.capacity import capacity, urgent_capacity

if TYPE_CHECKING:
    from gaugepost_workers.claims import Claim, Claims
    from gaugepost_workers.clock import Clock
    from gaugepost_workers.in_flight import InFlight
    from gaugepost_workers.observers.publisher import Publisher
    from gaugepost_workers.sender_pool import SenderPool
    from gaugepost_workers.slow_start import SlowStart

POLL_S = 0.05
"""While there is capacity, ask this often for work without a bell."""

PAUSE_S = 0.25
"""Between two calls while Redis does not answer: an outcome is settled soon after Redis is back."""

_SKIPPED_S = 0.01  # the claim script skipped many jobs and stopped early: pause before the next claim


class Fetcher:
    """Claims jobs and starts them. Any thread may call `signal` and `is_signalled`, the dispatcher's alone the rest.

    `concurrency`: the number of sender threads, beside those for urgent jobs. `lease_s`: the length of a lease.
    """

    def __init__(
        self,
        claims: Claims,
        slow_start: SlowStart,
        in_flight: InFlight,
        senders: SenderPool,
        publisher: Publisher,
        *,
        concurrency: int,
        lease_s: float,
        clock: Clock,
    ) -> None:
        self._claims = claims
        self._slow_start = slow_start
        self._in_flight = in_flight
        self._senders = senders
        self._publisher = publisher
        self._concurrency = concurrency
        self._lease_s = lease_s
        self._clock = clock
        self._work = threading.Event()
        self._urgent_work = threading.Event()

    def signal(self) -> None:
        """Note that the ledger may have work."""
        self._work.set()
        self._urgent_work.set()

    def is_signalled(self) -> bool:
        """Return whether the ledger may have work."""
        return self._work.is_set()

    def capacity(self) -> int:
        """Return how many jobs to claim now."""
        return capacity(self._concurrency, self._senders.mean_delivery_s, self._lease_s, len(self._in_flight))

    def fetch_if_needed(self) -> list[Settlement]:
        """Claim and start jobs if there is capacity and a bell came, no job is in flight, or the last claim is old.

        Return settlements that give back the jobs that must wait for another job of their configuration.
        """
        waiting: list[Settlement] = []
        limit = self.capacity()
        if limit and (self._work.is_set() or not self._in_flight or self._claims.age() > POLL_S):
            self._work.clear()
            self._urgent_work.clear()
            waiting, has_more = self._fetch(limit)
            if has_more:
                self._work.set()
        elif not limit and self._urgent_work.is_set() and (limit := urgent_capacity(self._in_flight.urgent())):
            self._urgent_work.clear()
            waiting, has_more = self._fetch(limit, urgent_only=True)
            if has_more:
                self._urgent_work.set()
        return waiting

    def _fetch(self, limit: int, *, urgent_only: bool = False) -> tuple[list[Settlement], bool]:
        """Claim up to `limit` jobs and start them. Return those to give back, and whether the ledger may have more."""
        claim = self._claims.claim(limit, urgent_only=urgent_only)
        if claim is None:
            self._clock.sleep(PAUSE_S)
            return [], self._claims.may_hold_jobs()
        waiting = self._start(claim)
        if claim.more and not self._in_flight:
            self._clock.sleep(_SKIPPED_S)
        return waiting, claim.more

    def _start(self, claim: Claim) -> list[Settlement]:
        first_of = self._slow_start.waiting(claim.jobs)
        waiting = []
        for claimed in claim.jobs:
            lease = self._in_flight.add(claimed, claim.asked_at)
            if claimed.id in first_of:
                waiting.append(Settlement(claimed, Decision(Requeued(first_of[claimed.id]), counted=False)))
            else:
                self._senders.start(lease)
                self._publisher.note_started(claimed)
        return waiting
