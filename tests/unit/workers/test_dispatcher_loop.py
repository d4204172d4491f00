"""The loop of a worker over the store in memory, by a clock that the test moves."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog.testing

from gaugepost.ledger import Settlement
from gaugepost.testing import Memory
from gaugepost.transitions import Decision, Delivered, Requeued
from gaugepost_workers.dispatcher import Dispatcher
from gaugepost_workers.lease import Lease
from gaugepost_workers.sender_pool import SenderPool
from support.factories import record
from support.hand_clock import HandClock
from support.ledger_harness import LEASE_MS, Bench
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gaugepost.ledger import Claimed
    from gaugepost_workers.sender_pool import Outcome

LEASE_S = LEASE_MS / 1000
DELIVERED = Decision(Delivered())


class Seen:
    """An observer that notes ids."""

    def __init__(self) -> None:
        self.claimed_ids: list[str] = []
        self.settled_ids: list[str] = []

    def claimed(self, jobs: Sequence[Claimed]) -> None:
        self.claimed_ids += [claimed.id for claimed in jobs]

    def settled(self, settlements: Sequence[Settlement]) -> None:
        self.settled_ids += [settlement.claimed.id for settlement in settlements]


class Loop:
    """A dispatcher with its store, its clock and its observer. `deliver` gets each lease; the job is then delivered."""

    def __init__(self, deliver: Callable[[Lease], object] = lambda _: None, concurrency: int = 4) -> None:
        self.memory = Memory()
        self.bench = Bench(self.memory.client)
        self.time = HandClock()
        self.seen = Seen()
        self._also = deliver
        self.dispatcher = Dispatcher(
            self.bench.ledger,
            self._deliver,
            self.seen,
            worker="w1",
            concurrency=concurrency,
            lease_s=LEASE_S,
            clock=self.time.clock(),
        )

    def _deliver(self, lease: Lease) -> Settlement:
        self._also(lease)
        return Settlement(lease.claimed, DELIVERED)

    def put(self, number: int) -> list[str]:
        return self.bench.put(*(record(configuration=f"c{n}") for n in range(number)))


def test_run_delivers_all_jobs_and_returns() -> None:
    loop = Loop()
    ids = loop.put(30)
    loop.dispatcher.run()
    assert loop.bench.states(ids) == ["delivered"] * 30
    assert sorted(loop.seen.claimed_ids) == sorted(loop.seen.settled_ids) == sorted(ids)


def test_lease_of_a_slow_delivery_is_renewed_after_a_third() -> None:
    renewed: list[float] = []

    def slow(lease: Lease) -> None:
        loop.time.move(LEASE_S / 3 + 1)
        wait_until(lambda: lease.renewed_at > 0, within=20)
        renewed.append(lease.renewed_at)

    loop = Loop(slow, concurrency=1)
    loop.put(1)
    loop.dispatcher.run()
    assert renewed[0] >= LEASE_S / 3 + 1


def test_settlement_of_a_lost_lease_is_refused_and_not_observed() -> None:
    fences: list[int] = []

    def lose_the_first(lease: Lease) -> None:
        fences.append(lease.claimed.fence)
        if len(fences) == 1:
            loop.bench.settle(lease.claimed, Requeued())  # as a rescuer does when the lease has ended

    loop = Loop(lose_the_first)
    [job_id] = loop.put(1)
    with structlog.testing.capture_logs() as logged:
        loop.dispatcher.run()
    assert [line["job"] for line in logged if line["event"] == "lease lost"] == [job_id]
    assert fences == [1, 2]
    assert loop.seen.settled_ids == [job_id], "once, for the second claim"
    assert loop.bench.state(job_id) == "delivered"


def test_stop_gives_back_jobs_that_no_sender_has_started() -> None:
    sent: list[str] = []

    def first_only(lease: Lease) -> None:
        sent.append(lease.claimed.id)
        loop.dispatcher.stop()
        wait_until(lambda: loop.bench.states(ids).count("queued") == 1, within=20)

    loop = Loop(first_only, concurrency=1)
    ids = loop.put(2)
    loop.dispatcher.run()
    assert loop.bench.states(ids) == ["delivered", "queued"]
    assert sent == ids[:1]


def test_outcome_is_settled_when_redis_is_back() -> None:
    loop = Loop(lambda _: loop.memory.set_reachable(yes=False))
    [job_id] = loop.put(1)
    with structlog.testing.capture_logs() as logged:
        thread = threading.Thread(target=loop.dispatcher.run)
        thread.start()
        wait_until(lambda: "settle failed" in [line["event"] for line in logged], within=20)
        loop.memory.set_reachable(yes=True)
        thread.join(20)
    assert not thread.is_alive()
    assert loop.bench.state(job_id) == "delivered"


def test_sender_gives_back_a_job_whose_lease_grew_old_while_it_waited() -> None:
    bench, time, sent = Bench(Memory().client), HandClock(), []
    bench.put(record(), record())
    fresh, old = (Lease(claimed, LEASE_S, at) for claimed, at in zip(bench.claim(), (61.0, 0.0), strict=True))
    time.move(61)

    def deliver(lease: Lease) -> Settlement:
        sent.append(lease)
        return Settlement(lease.claimed, DELIVERED)

    senders = SenderPool(deliver, lambda _: True, 1, time.clock())
    senders.start(old)
    senders.start(fresh)
    outcomes: list[Outcome] = []
    while len(outcomes) < 2:
        outcomes += senders.outcomes(20, gather=False)
    assert sent == [fresh]
    assert outcomes == [
        (old.claimed, Settlement(old.claimed, Decision(Requeued(), counted=False))),
        (fresh.claimed, Settlement(fresh.claimed, DELIVERED)),
    ]


def test_sender_skips_a_job_that_the_worker_holds_no_more() -> None:
    bench, sent = Bench(Memory().client), []
    bench.put(record())
    lease = Lease(bench.claim()[0], LEASE_S, 0.0)
    senders = SenderPool(sent.append, lambda _: False, 1, HandClock().clock())  # type: ignore[arg-type]
    senders.start(lease)
    assert senders.outcomes(20, gather=False) == [(lease.claimed, None)]
    assert sent == []
