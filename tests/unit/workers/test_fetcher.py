"""When a worker claims jobs and how many, by a clock that the test moves, over the store in memory."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from gaugepost.ledger import Settlement
from gaugepost.testing import Memory
from gaugepost.transitions import Decision, Delivered, Requeued
from gaugepost_workers.claims import Claims
from gaugepost_workers.fetcher import POLL_S, Fetcher
from gaugepost_workers.in_flight import InFlight
from gaugepost_workers.observers.publisher import Publisher
from gaugepost_workers.sender_pool import SenderPool
from gaugepost_workers.slow_start import SlowStart
from support.factories import link, record
from support.hand_clock import HandClock
from support.ledger_harness import LEASE_MS, Bench

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gaugepost.ledger import Claimed
    from gaugepost_workers.lease import Lease

LEASE_S = LEASE_MS / 1000


class Worker:
    """A fetcher with its parts. Its senders take jobs, and deliver them when the test ends."""

    def __init__(self, concurrency: int = 2) -> None:
        self.memory = Memory()
        self.bench = Bench(self.memory.client)
        self.time = HandClock()
        self.ended = threading.Event()
        clock = self.time.clock()
        self.in_flight = InFlight(LEASE_S)
        self.fetcher = Fetcher(
            Claims(self.bench.ledger, "w1", concurrency, LEASE_S, clock),
            SlowStart(self.bench.ledger.is_warm, clock.monotonic),
            self.in_flight,
            SenderPool(self._deliver, self.in_flight.holds, concurrency, clock),
            Publisher(self),
            concurrency=concurrency,
            lease_s=LEASE_S,
            clock=clock,
        )

    def _deliver(self, lease: Lease) -> Settlement:
        self.ended.wait(30)
        return Settlement(lease.claimed, Decision(Delivered()))

    def claimed(self, jobs: Sequence[Claimed]) -> None: ...

    def settled(self, settlements: Sequence[Settlement]) -> None: ...

    def fill(self) -> None:
        """Claim as many jobs as there is capacity for."""
        self.bench.put(*(record(configuration=f"c{n}") for n in range(self.fetcher.capacity())))
        self.fetcher.fetch_if_needed()
        assert self.fetcher.capacity() == 0


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.ended.set()


def test_busy_worker_claims_after_a_bell_or_at_each_poll(worker: Worker) -> None:
    worker.bench.put(record(configuration="a"))
    worker.fetcher.fetch_if_needed()
    worker.bench.put(record(configuration="b"))
    worker.fetcher.fetch_if_needed()
    assert len(worker.in_flight) == 1
    worker.fetcher.signal()
    worker.fetcher.fetch_if_needed()
    assert len(worker.in_flight) == 2
    worker.bench.put(record(configuration="c"))
    worker.time.move(POLL_S + 0.01)
    worker.fetcher.fetch_if_needed()
    assert len(worker.in_flight) == 3


def test_full_worker_claims_urgent_jobs_only(worker: Worker) -> None:
    worker.fill()
    [_, urgent] = worker.bench.put(record(configuration="d"), link(configuration="e"))
    worker.fetcher.signal()
    before = len(worker.in_flight)
    worker.fetcher.fetch_if_needed()
    assert (len(worker.in_flight), worker.in_flight.urgent()) == (before + 1, 1)
    assert urgent in worker.in_flight
    assert worker.fetcher.is_signalled(), "the record still waits for a sender"


def test_second_job_of_a_cold_configuration_is_given_back(worker: Worker) -> None:
    first, second = worker.bench.put(record(), record())
    [waiting] = worker.fetcher.fetch_if_needed()
    assert waiting.claimed.id == second
    assert waiting.decision == Decision(Requeued(first), counted=False)
    assert second in worker.in_flight, "until it is settled"


def test_worker_pauses_after_a_claim_without_an_answer_and_claims_again(worker: Worker) -> None:
    worker.bench.put(record())
    worker.fetcher.signal()
    worker.memory.set_reachable(yes=False)
    assert worker.fetcher.fetch_if_needed() == []
    assert worker.time.now == 0.25
    assert worker.fetcher.is_signalled(), "the claim may hold jobs, and no bell rings for them"
    worker.memory.set_reachable(yes=True)
    worker.fetcher.fetch_if_needed()
    assert len(worker.in_flight) == 1
    assert not worker.fetcher.is_signalled()
