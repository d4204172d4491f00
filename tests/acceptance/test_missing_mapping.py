"""Let ten thousand jobs wait for one missing mapping: CustomerGauge gets few requests, and later all jobs in order.

The time is simulated: the test moves the ledger's clock, second by second, while two real dispatchers, each with its
own delivery and HTTP client, send to the real simulator. A second run has real worker processes in real time.

Workers send records in parallel, so neighbours may swap. The policy promises that the ledger releases them in the order
enqueued, at most 200 a second: so none may arrive 200 or more places from its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis

from gaugepost import Record, Region
from gaugepost.ledger import Claimed, Settlement
from gaugepost.ledger.worker_calls import RELEASED_A_SECOND
from gaugepost_simulator import Simulator
from gaugepost_tasks.http import HttpClient
from gaugepost_workers.delivery import Delivery
from gaugepost_workers.dispatcher import Dispatcher
from support.ledger_harness import Bench
from support.stack import Stack
from support.wait import wait_until

MAPPING = "crm-survey"
SCOPE = f"configuration:{MAPPING}"
TEN_MINUTES_S = 600


class SilentObserver:
    """An observer that does nothing."""

    def claimed(self, jobs: Sequence[Claimed]) -> None: ...

    def settled(self, settlements: Sequence[Settlement]) -> None: ...


class World:
    """Workers in this process, by a clock that the test moves. They work when a bell has been rung."""

    def __init__(self, client: redis.Redis, sim: Simulator, workers: int, concurrency: int) -> None:
        settings = {name.removeprefix("GAUGEPOST_").lower(): value for name, value in sim.env().items()}
        self.bench = Bench(client, **settings)
        self.sim = sim
        self._dispatchers = [self._dispatcher(f"w{n}", concurrency) for n in range(workers)]
        self._threads = ThreadPoolExecutor(workers)

    def _dispatcher(self, name: str, concurrency: int) -> Dispatcher:
        http = HttpClient(connect_timeout=5, read_timeout=30, pool_size=2 * concurrency)
        delivery = Delivery(self.bench.ledger, http, self.bench.ledger._settings)
        how: dict[str, Any] = {"worker": name, "concurrency": concurrency, "lease_s": 90.0}
        return Dispatcher(self.bench.ledger, delivery.deliver, SilentObserver(), **how)

    def work(self) -> None:
        """Let every worker answer bells until none is left; each claims until no job is left."""
        while self.bench.client.delete("gaugepost.eu", "gaugepost.eu.urgent"):
            list(self._threads.map(Dispatcher.run, self._dispatchers))

    def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            self.work()
            self.bench.tick()
        self.work()

    def requests(self) -> int:
        """Count the requests that reached the simulator, with those for tokens."""
        return sum(self.sim.state()["requests"].values())

    def arrived(self) -> list[str]:
        """Return the ids of the records that CustomerGauge has, in the order of their arrival."""
        return [effect["idempotency_key"] for effect in self.sim.effects(kind="record")]

    def stop(self) -> None:
        for dispatcher in self._dispatchers:
            dispatcher.stop()
        self._threads.shutdown()


MakeWorld = Callable[[int, int], World]


@pytest.fixture
def world(redis_url: str) -> Iterator[MakeWorld]:
    """Build a world without the mapping, with this many workers that each send this many jobs in parallel."""
    made: list[World] = []
    with Simulator({"any_mapping": False}) as sim, redis.Redis.from_url(redis_url) as client:

        def make(workers: int, concurrency: int) -> World:
            made.append(World(client, sim, workers, concurrency))
            return made[-1]

        yield make
        for one in made:
            one.stop()
            assert one.bench.truth().faults == []


def records(count: int) -> list[Record]:
    cells = ({"Email": f"person{n}@example.net"} for n in range(count))
    return [Record(region=Region.EU, configuration=MAPPING, record=row) for row in cells]


def put(world: World, count: int) -> list[str]:
    jobs = records(count)
    batches = (jobs[start : start + 500] for start in range(0, count, 500))
    return [job_id for batch in batches for job_id in world.bench.put(*batch)]


def furthest_from_its_place(arrived: list[str], enqueued: list[str]) -> int:
    place = {job_id: n for n, job_id in enumerate(enqueued)}
    return max(abs(n - place[job_id]) for n, job_id in enumerate(arrived))


def test_missing_mapping_gets_under_20_requests_for_10000_jobs(
    world: MakeWorld,
) -> None:
    here = world(2, 16)
    enqueued = put(here, 10_000)
    here.pass_seconds(TEN_MINUTES_S)
    assert 2 <= here.requests() < 20, here.sim.state()["requests"]
    assert here.bench.ledger.holds()[SCOPE].verdict == "unknown_mapping"
    assert here.bench.ledger.summary()["parked_by_reason"] == {"unknown_mapping": 10_000}

    here.sim.knobs(mappings={MAPPING: {"type": "Survey Data"}})
    assert here.bench.ledger.resume(SCOPE)
    here.pass_seconds(10_000 // RELEASED_A_SECOND)
    arrived = here.arrived()
    assert here.bench.ledger.summary()["delivered"] == 10_000
    assert sorted(arrived) == sorted(enqueued)
    assert furthest_from_its_place(arrived, enqueued) < RELEASED_A_SECOND


def test_sent_one_at_a_time_they_arrive_exactly_in_the_order_enqueued(world: MakeWorld) -> None:
    here = world(1, 1)
    enqueued = put(here, 1_000)
    here.pass_seconds(60)
    here.sim.knobs(mappings={MAPPING: {"type": "Survey Data"}})
    assert here.bench.ledger.resume(SCOPE)
    here.pass_seconds(1_000 // RELEASED_A_SECOND)
    assert here.arrived() == enqueued


def test_probe_finds_a_corrected_mapping(world: MakeWorld) -> None:
    here = world(2, 16)
    enqueued = put(here, 500)
    here.pass_seconds(60)
    here.sim.knobs(mappings={MAPPING: {"type": "Survey Data"}})
    here.pass_seconds(TEN_MINUTES_S)  # the first probe is due after five minutes
    assert sorted(here.arrived()) == sorted(enqueued)
    assert here.bench.ledger.holds() == {}


def test_real_workers_deliver_each_job_once_after_a_missing_mapping(tmp_path: Path) -> None:
    with Stack(tmp_path) as stack:
        stack.sim.knobs(any_mapping=False)
        stack.worker()
        stack.worker()
        stack.beat()
        enqueued = [receipt.id for receipt in stack.producer.enqueue_many(records(2_000))]
        wait_until(lambda: stack.counts()["parked_by_reason"] == {"unknown_mapping": 2_000})
        assert stack.sim.state()["requests"].get("eu.records.404", 0) < 20
        stack.sim.knobs(mappings={MAPPING: {"type": "Survey Data"}})
        assert stack.producer.ledger(Region.EU).resume(SCOPE)
        wait_until(lambda: stack.counts()["delivered"] == 2_000, within=180)
        assert stack.keys() == dict.fromkeys(enqueued, 1)
