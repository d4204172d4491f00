"""The threads that send jobs. Each takes the next job as soon as it is free, so none waits for a slow job."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

import structlog

from gaugepost.ledger import Settlement
from gaugepost.transitions import Decision, Requeued
from gaugepost_workers.capacity import MAX_CLAIM, URGENT_THREADS

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.ledger import Claimed
    from gaugepost_workers.clock import Clock
    from gaugepost_workers.lease import Lease

    Outcome = tuple[Claimed, Settlement | None]

log = structlog.get_logger("gaugepost.dispatcher")

GIVE_BACK = Decision(Requeued(), counted=False)
"""Queue a job again as if it had not been claimed."""

_GATHER_S = 0.01  # while other jobs are in flight, gather outcomes for this long and settle them in one call


class SenderPool:
    """The sender threads of a worker, some of them for urgent jobs only, and the outcomes that they return.

    `deliver` sends a job and decides its outcome. `holds` returns whether a lease is still this worker's.
    `concurrency`: the number of threads beside those for urgent jobs.
    """

    def __init__(
        self, deliver: Callable[[Lease], Settlement], holds: Callable[[Lease], bool], concurrency: int, clock: Clock
    ) -> None:
        self.mean_delivery_s = 0.05
        """Running mean of the seconds that a delivery takes."""
        self._deliver = deliver
        self._holds = holds
        self._clock = clock
        self._outcomes: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
        self._ordinary = _Threads(concurrency, self._send, "send")
        self._urgent = _Threads(URGENT_THREADS, self._send, "send-urgent")

    def start(self, lease: Lease) -> None:
        """Queue a job for the next free thread."""
        (self._urgent if lease.claimed.job.urgent else self._ordinary).waiting.put(lease)

    def take_back(self) -> list[Lease]:
        """Remove and return the jobs that no thread has taken yet."""
        return [*_drain(self._ordinary.waiting), *_drain(self._urgent.waiting)]

    def wake(self) -> None:
        """Let `outcomes` return."""
        self._outcomes.put(None)

    def outcomes(self, timeout_s: float, *, gather: bool) -> list[Outcome]:
        """Wait for an outcome, `wake` or the timeout; return all outcomes that have come.

        An outcome is a job with its settlement, or with None if it was not sent. `gather`: wait a moment for more.
        """
        found: list[Outcome | None] = []
        try:
            found.append(self._outcomes.get(timeout=timeout_s))
            if found[0] is not None and gather:
                self._clock.sleep(_GATHER_S)
            while len(found) < 2 * MAX_CLAIM:
                found.append(self._outcomes.get_nowait())
        except queue.Empty:
            pass
        return [outcome for outcome in found if outcome is not None]

    def _send(self, lease: Lease) -> None:
        claimed = lease.claimed
        if not self._holds(lease):
            self._outcomes.put((claimed, None))
            return
        if lease.is_over(self._clock.lease()):
            self._outcomes.put((claimed, Settlement(claimed, GIVE_BACK)))
            return
        started = self._clock.monotonic()
        settlement = None
        try:
            settlement = self._deliver(lease)
        except Exception as error:  # noqa: BLE001 - `deliver` never raises; if it does, the rescuer takes the job back
            log.error("fault", job=claimed.id, error=type(error).__name__)  # noqa: TRY400 - its text may hold data
        took_s = max(self._clock.monotonic() - started, 0.001)
        self.mean_delivery_s = 0.9 * self.mean_delivery_s + 0.1 * took_s
        self._outcomes.put((claimed, settlement))


class _Threads:
    """A fixed number of threads, and the queue from which they take jobs."""

    def __init__(self, number: int, send: Callable[[Lease], None], name: str) -> None:
        self.waiting: queue.SimpleQueue[Lease] = queue.SimpleQueue()
        self._send = send
        for n in range(number):
            threading.Thread(target=self._loop, name=f"{name}-{n}", daemon=True).start()

    def _loop(self) -> None:
        while True:
            self._send(self.waiting.get())


def _drain(waiting: queue.SimpleQueue[Lease]) -> list[Lease]:
    taken: list[Lease] = []
    try:
        while True:
            taken.append(waiting.get_nowait())
    except queue.Empty:
        return taken
