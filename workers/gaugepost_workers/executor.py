"""Works through a region's jobs: claim a parcel, send its jobs side by side, settle their answers, go on.

One thread at a time turns this wheel, whichever of Celery's took a bell first; later bells only tell it that there is
more. Answers are settled as they come, many in one call, and new jobs are claimed while others are still out, so that
the threads that send are never idle for the slowest job of a parcel. Urgent jobs have threads of their own.
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from gaugepost.errors import StoreError
from gaugepost.ledger import Settlement
from gaugepost.transitions import Decision, Requeued
from gaugepost_workers.slow_start import SlowStart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gaugepost.ledger import Claimed, Ledger

log = structlog.get_logger("gaugepost.executor")

URGENT_THREADS = 4
PARCEL = 100
_PAUSE_S = 0.25  # between two tries while Redis does not answer; an answer is settled within half a second
_GIVE_BACK = Decision(Requeued(), counted=False)


class Witness(Protocol):
    """Sees what becomes of each job: Flower's events, metrics."""

    def claimed(self, jobs: Sequence[Claimed]) -> None:
        """Jobs were claimed."""

    def settled(self, settlements: Sequence[Settlement]) -> None:
        """Jobs were settled."""


@dataclass(slots=True)
class _InHand:
    """A job this worker holds: its sending, if it has begun, and when its lease was last renewed (monotonic s)."""

    claimed: Claimed
    renewed_at: float
    sending: Future[None] | None = None


class Executor:
    """The wheel of one worker process."""

    def __init__(
        self,
        ledger: Ledger,
        deliver: Callable[[Claimed], Settlement | None],
        witness: Witness,
        *,
        worker: str,
        concurrency: int,
        lease_s: float,
    ) -> None:
        self._ledger = ledger
        self._deliver = deliver
        self._witness = witness
        self._worker = worker
        self._concurrency = concurrency
        self._lease_s = lease_s
        self._pool = ThreadPoolExecutor(concurrency, "send")
        self._urgent_pool = ThreadPoolExecutor(URGENT_THREADS, "send-urgent")
        self._slow_start = SlowStart()
        self._answers: queue.SimpleQueue[tuple[Claimed, Settlement | None] | None] = queue.SimpleQueue()
        self._in_hand: dict[str, _InHand] = {}
        self._unsettled: list[Settlement] = []
        self._claim_token = uuid.uuid4().hex
        self._pace_s = 0.05  # how long one exchange takes, a running mean
        self._rung = threading.Event()
        self._turn = threading.Lock()
        self._stopping = threading.Event()

    def run(self) -> None:
        """Work until there is no more, or another thread does so already: what the bell's task calls."""
        self._rung.set()
        self._answers.put(None)
        while self._rung.is_set() and self._turn.acquire(blocking=False):
            try:
                self._turn_wheel()
            except Exception:
                # A fault of ours: let go of everything, so that the rescuer takes it back when the leases end, and
                # the next bell finds a clean wheel rather than the same fault.
                self._in_hand.clear()
                self._unsettled.clear()
                raise
            finally:
                self._turn.release()
            if self._stopping.is_set():
                return

    def stop(self) -> None:
        """Claim no more, give back what has not begun, finish what has. Returns at once; `run` ends soon after."""
        self._stopping.set()
        self._answers.put(None)

    def _turn_wheel(self) -> None:
        while True:
            if self._stopping.is_set():
                self._give_back_what_waits()
            else:
                self._take()
            if not self._in_hand and not self._unsettled:
                return
            self._settle(self._wait_for_answers())
            self._renew()

    # Claim

    def _take(self) -> None:
        room = self._room()
        if not room or not self._rung.is_set():
            return
        self._rung.clear()
        try:
            parcel = self._ledger.claim(self._worker, self._claim_token, room)
        except StoreError as error:
            log.warning("claim failed", error=str(error))
            time.sleep(_PAUSE_S)  # the same token again: what a lost answer claimed is given again
            if self._in_hand or self._unsettled:
                self._rung.set()
            return
        self._claim_token = uuid.uuid4().hex
        if parcel.left:
            self._rung.set()
        self._witness.claimed(parcel.jobs)
        for claimed in parcel.jobs:
            self._in_hand[claimed.id] = _InHand(claimed, time.monotonic())
            if self._slow_start.admit(claimed):
                self._begin(claimed)

    def _room(self) -> int:
        """Take no more than can be begun within a third of a lease, and in parcels rather than one by one."""
        in_time = int(self._lease_s / 3 / self._pace_s * self._concurrency)
        limit = min(max(2 * self._concurrency, PARCEL), max(in_time, self._concurrency))
        room = limit - len(self._in_hand)
        return min(room, PARCEL) if room >= limit // 2 else 0

    def _begin(self, claimed: Claimed) -> None:
        pool = self._urgent_pool if claimed.job.urgent else self._pool
        self._in_hand[claimed.id].sending = pool.submit(self._send, claimed)

    def _send(self, claimed: Claimed) -> None:
        started = time.monotonic()
        settlement = self._deliver(claimed)
        self._pace_s = 0.9 * self._pace_s + 0.1 * max(time.monotonic() - started, 0.001)
        self._answers.put((claimed, settlement))

    # Settle

    def _wait_for_answers(self) -> list[tuple[Claimed, Settlement | None]]:
        """Wait for an answer (or a bell), and take with it all that have come meanwhile."""
        wait = _PAUSE_S if self._unsettled else min(self._lease_s / 6, 5.0)
        answers: list[tuple[Claimed, Settlement | None]] = []
        try:
            first = self._answers.get(timeout=wait)
            answers += [first] if first is not None else []
            while len(answers) < PARCEL:
                more = self._answers.get_nowait()
                answers += [more] if more is not None else []
        except queue.Empty:
            pass
        return answers

    def _settle(self, answers: list[tuple[Claimed, Settlement | None]]) -> None:
        for claimed, settlement in answers:
            behind = self._slow_start.answered(claimed, settlement.decision if settlement else None)
            self._unsettled += [Settlement(one, _GIVE_BACK) for one in behind.give_back]
            for one in behind.go:
                if one.id in self._in_hand:
                    self._begin(one)
            if settlement is None:
                self._in_hand.pop(claimed.id, None)
            else:
                self._unsettled.append(settlement)
        if not self._unsettled:
            return
        try:
            done = self._ledger.settle(self._unsettled)
        except StoreError as error:
            log.warning("settle failed", error=str(error), jobs=len(self._unsettled))
            return
        settled, self._unsettled = self._unsettled, []
        for settlement, accepted in zip(settled, done, strict=True):
            self._in_hand.pop(settlement.claimed.id, None)
            if not accepted:
                log.warning("lease lost", job=settlement.claimed.id)
        self._witness.settled([settlement for settlement, accepted in zip(settled, done, strict=True) if accepted])

    # Keep, and give back

    def _renew(self) -> None:
        now = time.monotonic()
        old = [held for held in self._in_hand.values() if now - held.renewed_at > self._lease_s / 3]
        if not old:
            return
        try:
            ours = self._ledger.renew([held.claimed for held in old])
        except StoreError as error:
            log.warning("renew failed", error=str(error), jobs=len(old))
            return
        for held, is_ours in zip(old, ours, strict=True):
            held.renewed_at = now
            if not is_ours and (held.sending is None or held.sending.cancel()):
                self._answers.put((held.claimed, None))  # somebody else's now, and never begun here

    def _give_back_what_waits(self) -> None:
        waiting = [claimed.id for claimed in self._slow_start.all_behind()]
        for held in self._in_hand.values():
            if held.sending is not None and held.sending.cancel():
                held.sending = None
                waiting.append(held.claimed.id)
        self._unsettled += [
            Settlement(self._in_hand[job_id].claimed, _GIVE_BACK) for job_id in waiting if job_id in self._in_hand
        ]
