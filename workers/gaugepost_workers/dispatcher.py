"""Works through a region's jobs: claim a claim, send its jobs side by side, settle their answers, go on.

One thread at a time turns this wheel, whichever of Celery's took a bell first; later bells only tell it that there is
more. Answers are settled as they come, many in one call, and new jobs are claimed while others are still out, so that
the threads that send are never idle for the slowest job of a claim. Urgent jobs have threads of their own, and are
claimed even while there is no room for others. Who enqueues while a worker is awake need not ring: it looks for work
again before it goes to rest (`lua/lib/base.lua`, awake).
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
_GATHER_S = 0.01  # while more are out, answers are gathered for so long, to be settled in one call
_SOON_S = 0.1  # what is claimed beyond twice the concurrency is begun within so long
_POLL_S = 0.05  # while awake, look so often for work that nobody rang for
_PAUSE_S = 0.25  # between two tries while Redis does not answer; an answer is settled within half a second
_GIVE_BACK = Decision(Requeued(), counted=False)


class Dispatcher:
    """The wheel of one worker process."""

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
        self._mean_exchange_s = 0.05  # how long one exchange takes, a running mean
        self._claimed_at = 0.0
        self._claim_lease_at = 0.0  # the same by the lease's clock
        self._unanswered_since: float | None = None  # by time.monotonic; None: the last claim had its answer
        self._work = threading.Event()
        self._urgent_work = threading.Event()
        self._loop_lock = threading.Lock()
        self._stopping = threading.Event()

    def run(self) -> None:
        """Work until there is no more, or another thread does so already: what the bell's task calls."""
        self._work.set()
        self._urgent_work.set()
        while self._work.is_set():
            if not self._loop_lock.acquire(blocking=False):
                self._answers.put(None)  # whoever turns it may be waiting for answers
                return
            try:
                self._loop()
            except Exception:
                # A fault of ours: let go of everything, so that the rescuer takes it back when the leases end, and
                # the next bell finds a clean wheel rather than the same fault.
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
        """Claim no more, give back what has not begun, finish what has. Returns at once; `run` ends soon after."""
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
        """Publish what was claimed only now: earlier, it would keep the sender threads from the interpreter."""
        if self._unpublished:
            claimed_jobs, self._unpublished = self._unpublished, []
            self._observer.claimed(claimed_jobs)

    # Claim

    def _claim_if_needed(self) -> None:
        """Claim if there is room, and word of work, or none for a while, or nothing else to do."""
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
        """Claim up to so many jobs and begin them; tell whether there are more."""
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
            time.sleep(_GATHER_S)  # it passed over jobs, and looks further
        return claim.left > 0

    def _claim_may_have_worked(self) -> bool:
        """Tell whether a claim without an answer may hold jobs still: the same token gets them, and no bell rings."""
        if self._unanswered_since is None:
            self._unanswered_since = self._claimed_at
        return time.monotonic() - self._unanswered_since < self._lease_s

    def _start_all(self, jobs: Sequence[Claimed]) -> list[Settlement]:
        """Begin what was claimed; return what goes back since another job of its configuration goes first."""
        behind_first = self._slow_start.waiting(jobs)
        for claimed in jobs:
            self._in_flight[claimed.id] = Lease(claimed, self._lease_s, self._claim_lease_at)
            if claimed.id not in behind_first:
                self._start(claimed)
                self._unpublished.append(claimed)
        waiting = [claimed for claimed in jobs if claimed.id in behind_first]
        return [Settlement(claimed, Decision(Requeued(behind_first[claimed.id]), counted=False)) for claimed in waiting]

    def _capacity(self) -> int:
        """Take what can be begun in a moment, in parcels and not one by one; newer jobs wait behind what waits here.

        And never more than can be begun within a third of a lease.
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
        except Exception as error:  # noqa: BLE001 - against its word: its lease will end, and the rescuer takes it back
            log.error("fault", job=claimed.id, error=type(error).__name__)  # noqa: TRY400 - its text may hold data
        self._mean_exchange_s = 0.9 * self._mean_exchange_s + 0.1 * max(time.monotonic() - started, 0.001)
        self._answers.put((claimed, settlement))

    # Settle

    def _wait_for_answers(self) -> list[tuple[Claimed, Settlement | None]]:
        """Wait for an answer, a bell, or the time to look for work; take with it all that have come meanwhile."""
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
            elif not _was_never_started(settlement):  # the worker never began it, and the observers never saw it
                observed.append(settlement)
        log_deaths(observed)
        self._observer.settled(observed)

    def _release(self, claimed: Claimed) -> None:
        lease = self._in_flight.get(claimed.id)
        if lease is not None and lease.claimed is claimed:  # else it was lost, and has been claimed here anew
            del self._in_flight[claimed.id]

    # Keep, and give back

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
