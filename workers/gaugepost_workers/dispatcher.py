"""The loop of a worker: claim jobs, hand them to sender threads, settle their outcomes.

One Celery thread at a time runs the loop: the first that takes a bell. A later bell only signals that there is more
work. The loop settles many outcomes in one call, and claims new jobs while others are still being sent, so that no
sender waits for the slowest job. Urgent jobs have their own senders, and are claimed even when all others are busy.

A service that enqueues while a worker is awake need not ring: the worker asks for work once more before it rests
(`lua/lib/base.lua`, awake).
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from gaugepost.errors import StoreError
from gaugepost.ledger import Settlement
from gaugepost.transitions import Decision, Requeued
from gaugepost_workers.lease import Lease, lease_clock
from gaugepost_workers.observers.ledger_log import log_deaths
from gaugepost_workers.sender_pool import SenderPool
from gaugepost_workers.slow_start import SlowStart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gaugepost.ledger import Claimed, Ledger
    from gaugepost_workers.observers.observer import Observer

log = structlog.get_logger("gaugepost.dispatcher")

URGENT_THREADS = 4
MAX_CLAIM = 100
_GATHER_S = 0.01  # while other jobs are in flight, gather outcomes for this long and settle them in one call
_SOON_S = 0.1  # jobs beyond twice the concurrency must start within this time
_POLL_S = 0.05  # while awake, ask this often for work without a bell
_PAUSE_S = 0.25  # between two tries while Redis does not answer: an outcome is settled soon after Redis is back
_GIVE_BACK = Decision(Requeued(), counted=False)


class Dispatcher:
    """The dispatcher of one worker process. `run` and `stop` are thread-safe.

    `deliver` sends one job and decides its outcome, in a sender thread. `worker`: this process' id in the ledger.
    `concurrency`: the number of sender threads, beside those for urgent jobs. `lease_s`: the length of a lease.
    """

    def __init__(
        self,
        ledger: Ledger,
        deliver: Callable[[Lease], Settlement],
        observer: Observer,
        *,
        worker: str,
        concurrency: int,
        lease_s: float,
    ) -> None:
        self._ledger = ledger
        self._deliver = deliver
        self._observer = observer
        self._worker = worker
        self._concurrency = concurrency
        self._lease_s = lease_s
        self._senders = SenderPool(concurrency, self._send, "send")
        self._urgent_senders = SenderPool(URGENT_THREADS, self._send, "send-urgent")
        self._slow_start = SlowStart(ledger.is_warm)
        self._answers: queue.SimpleQueue[tuple[Claimed, Settlement | None] | None] = queue.SimpleQueue()
        self._in_flight: dict[str, Lease] = {}
        self._unsettled: list[Settlement] = []
        self._unpublished: list[Claimed] = []
        self._claim_token = uuid.uuid4().hex
        self._mean_exchange_s = 0.05  # running mean of the seconds of a delivery
        self._claimed_at = 0.0
        self._claim_lease_at = 0.0  # the same moment by the lease's clock
        self._unanswered_since: float | None = None  # monotonic; None: Redis answered the last claim
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
                self._answers.put(None)  # wakes the thread that runs the loop
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
        self._answers.put(None)

    def _loop(self) -> None:
        while True:
            if self._stopping.is_set():
                self._give_back_waiting()
            else:
                self._claim_if_needed()
            if not self._in_flight and not self._unsettled:
                return
            answers = self._wait_for_answers()
            self._publish_claimed()
            self._settle(answers)
            self._renew()

    def _publish_claimed(self) -> None:
        """Call the observers about claimed jobs: late, because earlier they would take the CPU from the senders."""
        if self._unpublished:
            claimed_jobs, self._unpublished = self._unpublished, []
            self._observer.claimed(claimed_jobs)

    # Claim

    def _claim_if_needed(self) -> None:
        """Claim jobs if there is capacity and a bell came, no job is in flight, or the last claim is old."""
        room = self._capacity()
        if room and (self._work.is_set() or not self._in_flight or time.monotonic() - self._claimed_at > _POLL_S):
            self._work.clear()
            self._urgent_work.clear()
            if self._claim(room):
                self._work.set()
        elif not room and self._urgent_work.is_set() and (room := self._urgent_capacity()):
            self._urgent_work.clear()
            if self._claim(room, urgent_only=True):
                self._urgent_work.set()

    def _claim(self, room: int, *, urgent_only: bool = False) -> bool:
        """Claim up to `room` jobs and start them. Return whether the ledger may have more."""
        self._claimed_at = time.monotonic()
        self._claim_lease_at = lease_clock()
        try:
            claim = self._ledger.claim(
                self._worker, self._claim_token, room, self._concurrency, urgent_only=urgent_only
            )
        except StoreError as error:
            log.warning("claim failed", error=str(error))
            time.sleep(_PAUSE_S)
            return self._claim_may_have_worked()
        self._unanswered_since = None
        self._claim_token = uuid.uuid4().hex
        behind = self._start_all(claim.jobs)
        if behind:
            self._unsettled += behind
            self._settle([])
        elif claim.left and not self._in_flight:
            time.sleep(_GATHER_S)  # the script skipped jobs and stopped early: ask again
        return claim.left > 0

    def _claim_may_have_worked(self) -> bool:
        """Return whether a claim without an answer may still hold jobs.

        A claim with the same token gets them. No bell would ring for them.
        """
        if self._unanswered_since is None:
            self._unanswered_since = self._claimed_at
        return time.monotonic() - self._unanswered_since < self._lease_s

    def _start_all(self, jobs: Sequence[Claimed]) -> list[Settlement]:
        """Start the claimed jobs. Return those that must first wait for another job of their configuration."""
        behind_first = self._slow_start.waiting(jobs)
        for claimed in jobs:
            self._in_flight[claimed.id] = Lease(claimed, self._lease_s, self._claim_lease_at)
            if claimed.id not in behind_first:
                self._start(claimed)
                self._unpublished.append(claimed)
        waiting = [claimed for claimed in jobs if claimed.id in behind_first]
        return [Settlement(claimed, Decision(Requeued(behind_first[claimed.id]), counted=False)) for claimed in waiting]

    def _capacity(self) -> int:
        """Return how many jobs to claim: as many as senders can start soon, and within a third of a lease.

        No other worker can take a job that waits here. Returns 0 until a quarter of the limit is free, because few
        large claims cost less than many small ones.
        """
        a_second = self._concurrency / self._mean_exchange_s
        soon, in_time = min(MAX_CLAIM, int(a_second * _SOON_S)), int(a_second * self._lease_s / 3)
        limit = min(max(2 * self._concurrency, soon), max(in_time, self._concurrency))
        room = limit - len(self._in_flight)
        return min(room, MAX_CLAIM) if room >= limit // 4 else 0

    def _urgent_capacity(self) -> int:
        in_flight = sum(lease.claimed.job.urgent for lease in self._in_flight.values())
        return max(0, 2 * URGENT_THREADS - in_flight)

    def _start(self, claimed: Claimed) -> None:
        (self._urgent_senders if claimed.job.urgent else self._senders).put(claimed)

    def _send(self, claimed: Claimed) -> None:
        lease = self._in_flight.get(claimed.id)
        if lease is None or lease.lost or lease.claimed is not claimed:
            self._answers.put((claimed, None))
            return
        if lease.is_over(lease_clock()):
            self._answers.put((claimed, Settlement(claimed, _GIVE_BACK)))
            return
        started = time.monotonic()
        settlement = None
        try:
            settlement = self._deliver(lease)
        except Exception as error:  # noqa: BLE001 - `deliver` never raises; if it does, the rescuer takes the job back
            log.error("fault", job=claimed.id, error=type(error).__name__)  # noqa: TRY400 - its text may hold data
        self._mean_exchange_s = 0.9 * self._mean_exchange_s + 0.1 * max(time.monotonic() - started, 0.001)
        self._answers.put((claimed, settlement))

    # Settle

    def _wait_for_answers(self) -> list[tuple[Claimed, Settlement | None]]:
        """Wait for an outcome, a bell, or the time to ask for work. Return all outcomes that have come."""
        found: list[tuple[Claimed, Settlement | None] | None] = []
        try:
            found.append(self._answers.get(timeout=self._wait_s()))
            if found[0] is not None and len(self._in_flight) > 1 and not self._stopping.is_set():
                time.sleep(_GATHER_S)
            while len(found) < 2 * MAX_CLAIM:
                found.append(self._answers.get_nowait())
        except queue.Empty:
            pass
        return [answer for answer in found if answer is not None]

    def _wait_s(self) -> float:
        if self._unsettled:
            return _PAUSE_S
        soon = self._unpublished or (self._capacity() and not self._stopping.is_set())
        return _POLL_S if soon else min(self._lease_s / 6, 5.0)

    def _settle(self, answers: list[tuple[Claimed, Settlement | None]]) -> None:
        for claimed, settlement in answers:
            warms = self._slow_start.answered(claimed, settlement.decision if settlement else None)
            if settlement is None:
                self._release(claimed)
            else:
                self._unsettled.append(replace(settlement, warms=True) if warms else settlement)
        if not self._unsettled:
            return
        try:
            done = self._ledger.settle(self._unsettled)
        except StoreError as error:
            log.warning("settle failed", error=str(error), jobs=len(self._unsettled))
            return
        settled, self._unsettled = self._unsettled, []
        observed = []
        for settlement, accepted in zip(settled, done, strict=True):
            self._release(settlement.claimed)
            if not accepted:
                log.warning("lease lost", job=settlement.claimed.id)
            elif not _was_never_started(settlement):  # otherwise no sender started it, and observers do not know it
                observed.append(settlement)
        log_deaths(observed)
        self._observer.settled(observed)

    def _release(self, claimed: Claimed) -> None:
        lease = self._in_flight.get(claimed.id)
        if lease is not None and lease.claimed is claimed:  # otherwise this worker lost the job and claimed it again
            del self._in_flight[claimed.id]

    # Renew leases, and give back jobs

    def _renew(self) -> None:
        now = lease_clock()
        old = [lease for lease in self._in_flight.values() if now - lease.renewed_at > self._lease_s / 3]
        if not old:
            return
        try:
            ours = self._ledger.renew([lease.claimed for lease in old])
        except StoreError as error:
            log.warning("renew failed", error=str(error), jobs=len(old))
            return
        for lease, is_ours in zip(old, ours, strict=True):
            if is_ours:
                lease.renewed_at = now
            else:
                lease.lost = True

    def _give_back_waiting(self) -> None:
        waiting = [*self._senders.take_back(), *self._urgent_senders.take_back()]
        self._unsettled += [Settlement(claimed, _GIVE_BACK) for claimed in waiting if claimed.id in self._in_flight]


def _was_never_started(settlement: Settlement) -> bool:
    transition = settlement.decision.transition
    return isinstance(transition, Requeued) and bool(transition.behind)
