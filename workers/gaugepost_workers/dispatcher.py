"""The loop of a worker: claim jobs, hand them to sender threads, settle their outcomes.

One Celery thread at a time runs the loop: the first that takes a bell. A later bell only signals that there is more
work. The loop settles many outcomes in one call, and claims new jobs while others are still being sent, so that no
sender waits for the slowest job.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from gaugepost.ledger import Settlement
from gaugepost_workers.claims import Claims
from gaugepost_workers.clock import SYSTEM_CLOCK
from gaugepost_workers.fetcher import PAUSE_S, POLL_S, Fetcher
from gaugepost_workers.in_flight import InFlight
from gaugepost_workers.observers.publisher import Publisher
from gaugepost_workers.sender_pool import GIVE_BACK, SenderPool
from gaugepost_workers.settlement_buffer import SettlementBuffer
from gaugepost_workers.slow_start import SlowStart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gaugepost.ledger import WorkerLedger
    from gaugepost_workers.clock import Clock
    from gaugepost_workers.lease import Lease
    from gaugepost_workers.observers.observer import Observer
    from gaugepost_workers.sender_pool import Outcome

log = structlog.get_logger("gaugepost.dispatcher")


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
        self._lease_s = lease_s
        self._clock = clock
        self._in_flight = InFlight(lease_s)
        self._senders = SenderPool(deliver, self._in_flight.holds, concurrency, clock)
        self._slow_start = SlowStart(ledger.is_warm, clock.monotonic)
        self._publisher = Publisher(observer)
        self._fetcher = Fetcher(
            Claims(ledger, worker, concurrency, lease_s, clock),
            self._slow_start,
            self._in_flight,
            self._senders,
            self._publisher,
            concurrency=concurrency,
            lease_s=lease_s,
            clock=clock,
        )
        self._unsettled = SettlementBuffer(ledger)
        self._loop_lock = threading.Lock()
        self._stopping = threading.Event()

    def run(self) -> None:
        """Deliver jobs until no work is left. Return at once if another thread does so already.

        The Celery task of a bell calls this.
        """
        self._fetcher.signal()
        while self._fetcher.is_signalled():
            if not self._loop_lock.acquire(blocking=False):
                self._senders.wake()  # so that the thread in the loop sees the signal
                return
            try:
                self._loop()
            except Exception:
                self._give_up()
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
            elif waiting := self._fetcher.fetch_if_needed():
                self._unsettled.add(waiting)
                self._settle()
            if not self._in_flight and not self._unsettled:
                return
            gather = len(self._in_flight) > 1 and not self._stopping.is_set()
            outcomes = self._senders.outcomes(self._wait_s(), gather=gather)
            self._publisher.publish_started()
            self._add_outcomes(outcomes)
            self._settle()
            self._in_flight.renew(self._ledger, self._clock.lease())

    def _wait_s(self) -> float:
        if self._unsettled:
            return PAUSE_S
        is_awake = self._publisher.has_unpublished or (self._fetcher.capacity() and not self._stopping.is_set())
        return POLL_S if is_awake else min(self._lease_s / 6, 5.0)

    def _add_outcomes(self, outcomes: Iterable[Outcome]) -> None:
        """Add the outcomes of sent jobs to the next settlement. Release the jobs that were not sent."""
        for claimed, settlement in outcomes:
            warms = self._slow_start.answered(claimed, settlement.decision if settlement else None)
            if settlement is None:
                self._in_flight.release(claimed)
            else:
                self._unsettled.add([replace(settlement, warms=True) if warms else settlement])

    def _settle(self) -> None:
        """Settle all outcomes that Redis has not accepted yet, and publish them."""
        settled = self._unsettled.flush()
        if not settled:
            return
        for settlement, is_accepted in settled:
            self._in_flight.release(settlement.claimed)
            if not is_accepted:
                log.warning("lease lost", job=settlement.claimed.id)
        self._publisher.publish_settled(settlement for settlement, is_accepted in settled if is_accepted)

    def _give_back_waiting(self) -> None:
        leases = [lease for lease in self._senders.take_back() if lease.claimed.id in self._in_flight]
        self._unsettled.add([Settlement(lease.claimed, GIVE_BACK) for lease in leases])

    def _give_up(self) -> None:
        """Give up all jobs after a bug of ours: the rescuer takes them back when their leases end.

        The next bell starts from a clean state instead of meeting the same bug.
        """
        self._in_flight.clear()
        self._slow_start.forget_firsts()
        self._unsettled.clear()
        self._publisher.clear()
