"""The loop of a worker: claim jobs, hand them to sender threads, settle their outcomes.

One Celery thread at a time runs the loop: the first that takes a bell. A later bell only signals that there is more
work. The loop settles many outcomes in one call, and claims new jobs while others are still being sent, so that no
sender waits for the slowest job. Urgent jobs have their own senders, and are claimed even when all others are busy.

A service that enqueues while a worker is awake need not ring: the worker asks for work once more before it rests
(`lua/lib/base.lua`, awake).
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from gaugepost.errors import StoreError
from gaugepost.ledger import Settlement
from gaugepost.transitions import Decision, Requeued
from gaugepost_workers.capacity import capacity, urgent_capacity
from gaugepost_workers.claims import Claims
from gaugepost_workers.clock import SYSTEM_CLOCK
from gaugepost_workers.in_flight import InFlight, note_renewals
from gaugepost_workers.observers.ledger_log import log_deaths
from gaugepost_workers.sender_pool import GIVE_BACK, SenderPool
from gaugepost_workers.settlement_buffer import SettlementBuffer
from gaugepost_workers.slow_start import SlowStart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gaugepost.ledger import Claimed, WorkerLedger
    from gaugepost_workers.claims import Claim
    from gaugepost_workers.clock import Clock
    from gaugepost_workers.lease import Lease
    from gaugepost_workers.observers.observer import Observer
    from gaugepost_workers.sender_pool import Outcome

log = structlog.get_logger("gaugepost.dispatcher")

_SKIPPED_S = 0.01  # the claim script skipped many jobs and stopped early: pause before the next claim
_POLL_S = 0.05  # while awake, ask this often for work without a bell
_PAUSE_S = 0.25  # between two tries while Redis does not answer: an outcome is settled soon after Redis is back


class Dispatcher:
    """The dispatcher of one worker process. `run` and `stop` are thread-safe.

    `deliver` sends one job and decides its outcome, in a sender thread. `worker`: this process' id in the ledger.
    `concurrency`: the number of sender threads, beside those for urgent jobs. `lease_s`: the length of a lease.
    """

    def __init__(
        self,
        ledger: WorkerLedger,
        deliver: Callable[[Lease], Settlement],
        observer: Observer,
        *,
        worker: str,
        concurrency: int,
        lease_s: float,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._ledger = ledger
        self._observer = observer
        self._concurrency = concurrency
        self._lease_s = lease_s
        self._clock = clock
        self._in_flight = InFlight(lease_s)
        self._claims = Claims(ledger, worker, concurrency, lease_s, clock)
        self._senders = SenderPool(deliver, self._in_flight.holds, concurrency, clock)
        self._slow_start = SlowStart(ledger.is_warm, clock.monotonic)
        self._unsettled = SettlementBuffer(ledger)
        self._unpublished: list[Claimed] = []
        self._work = threading.Event()
        self._urgent_work = threading.Event()
        self._loop_lock = threading.Lock()
        self._stopping = threading.Event()

    def run(self) -> None:
        """Deliver jobs until no work is left. Return at once if another thread does so already.

        The Celery task of a bell calls this.
        """
        self._work.set()
        self._urgent_work.set()
        while self._work.is_set():
            if not self._loop_lock.acquire(blocking=False):
                self._senders.wake()  # so that the thread in the loop sees the signal
                return
            try:
                self._loop()
            except Exception:
                # A bug of ours. Give up all jobs: the rescuer takes them back when their leases end. The next bell then
                # starts from a clean state instead of meeting the same bug.
                self._in_flight.clear()
                self._slow_start.forget_firsts()
                self._unsettled.clear()
                self._unpublished.clear()
                raise
            finally:
                self._loop_lock.release()
            if self._stopping.is_set():
                return

    def stop(self) -> None:
        """Stop claiming, give back the jobs that no sender has started, finish the others.

        Returns at once; `run` returns when all are settled.
        """
        self._stopping.set()
        self._senders.wake()

    def _loop(self) -> None:
        while True:
            if self._stopping.is_set():
                self._give_back_waiting()
            else:
                self._claim_if_needed()
            if not self._in_flight and not self._unsettled:
                return
            gather = len(self._in_flight) > 1 and not self._stopping.is_set()
            outcomes = self._senders.outcomes(self._wait_s(), gather=gather)
            self._publish_claimed()
            self._settle(outcomes)
            self._renew()

    def _wait_s(self) -> float:
        if self._unsettled:
            return _PAUSE_S
        is_awake = self._unpublished or (self._capacity() and not self._stopping.is_set())
        return _POLL_S if is_awake else min(self._lease_s / 6, 5.0)

    def _publish_claimed(self) -> None:
        """Call the observers about claimed jobs: late, because earlier they would take the CPU from the senders."""
        if self._unpublished:
            jobs, self._unpublished = self._unpublished, []
            self._observer.claimed(jobs)

    # Claim

    def _capacity(self) -> int:
        return capacity(self._concurrency, self._senders.mean_delivery_s, self._lease_s, len(self._in_flight))

    def _claim_if_needed(self) -> None:
        """Claim jobs if there is capacity and a bell came, no job is in flight, or the last claim is old."""
        limit = self._capacity()
        if limit and (self._work.is_set() or not self._in_flight or self._claims.age() > _POLL_S):
            self._work.clear()
            self._urgent_work.clear()
            if self._claim(limit):
                self._work.set()
        elif not limit and self._urgent_work.is_set() and (limit := urgent_capacity(self._in_flight.urgent())):
            self._urgent_work.clear()
            if self._claim(limit, urgent_only=True):
                self._urgent_work.set()

    def _claim(self, limit: int, *, urgent_only: bool = False) -> bool:
        """Claim up to `limit` jobs and start them. Return whether the ledger may have more."""
        claim = self._claims.claim(limit, urgent_only=urgent_only)
        if claim is None:
            self._clock.sleep(_PAUSE_S)
            return self._claims.may_hold_jobs()
        waiting = self._start(claim)
        if waiting:
            self._unsettled.add(waiting)
            self._settle([])
        elif claim.more and not self._in_flight:
            self._clock.sleep(_SKIPPED_S)
        return claim.more

    def _start(self, claim: Claim) -> list[Settlement]:
        """Start the claimed jobs. Return those that must first wait for another job of their configuration."""
        first_of = self._slow_start.waiting(claim.jobs)
        waiting = []
        for claimed in claim.jobs:
            lease = self._in_flight.add(claimed, claim.asked_at)
            if claimed.id in first_of:
                waiting.append(Settlement(claimed, Decision(Requeued(first_of[claimed.id]), counted=False)))
            else:
                self._senders.start(lease)
                self._unpublished.append(claimed)
        return waiting

    # Settle

    def _settle(self, outcomes: Sequence[Outcome]) -> None:
        """Settle these outcomes, and those that Redis did not take before. Call the observers."""
        for claimed, settlement in outcomes:
            warms = self._slow_start.answered(claimed, settlement.decision if settlement else None)
            if settlement is None:
                self._in_flight.release(claimed)
            else:
                self._unsettled.add([replace(settlement, warms=True) if warms else settlement])
        settled = self._unsettled.flush()
        if not settled:
            return
        observed = []
        for settlement, is_accepted in settled:
            self._in_flight.release(settlement.claimed)
            if not is_accepted:
                log.warning("lease lost", job=settlement.claimed.id)
            elif not _was_never_started(settlement):  # observers do not know a job that no sender started
                observed.append(settlement)
        log_deaths(observed)
        self._observer.settled(observed)

    # Renew leases, and give back jobs

    def _renew(self) -> None:
        now = self._clock.lease()
        leases = self._in_flight.due(now)
        if not leases:
            return
        try:
            renewed = self._ledger.renew([lease.claimed for lease in leases])
        except StoreError as error:
            log.warning("renew failed", error=str(error), jobs=len(leases))
            return
        note_renewals(leases, renewed, now)

    def _give_back_waiting(self) -> None:
        leases = [lease for lease in self._senders.take_back() if lease.claimed.id in self._in_flight]
        self._unsettled.add([Settlement(lease.claimed, GIVE_BACK) for lease in leases])


def _was_never_started(settlement: Settlement) -> bool:
    transition = settlement.decision.transition
    return isinstance(transition, Requeued) and bool(transition.behind)
