"""End many leases at once, as when a host is lost: the jobs return in bounded steps."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest
import redis

from gaugepost.ledger import Entry, Settlement
from gaugepost_workers.rescuer import rescue
from support.factories import record
from support.ledger_harness import LEASE_MS, Bench

TICK_TAKES = 5_000


@pytest.fixture
def bench(redis_url: str) -> Iterator[Bench]:
    with redis.Redis.from_url(redis_url) as client:
        yield Bench(client)


def lose(bench: Bench, jobs: int) -> list[str]:
    """Claim these many jobs as workers that never return; return their ids."""
    entries = [Entry.of(record()) for _ in range(jobs)]
    for start in range(0, jobs, 500):
        bench.ledger.enqueue(entries[start : start + 500])
    lost = sum(len(bench.claim_ids(worker=f"w{i}")) for i in range(jobs // 100))
    assert lost == jobs
    bench.clock.go(LEASE_MS + 1)
    return [entry.id for entry in entries]


def test_20_000_lost_leases_come_back_in_five_ticks(bench: Bench) -> None:
    lose(bench, 20_000)
    assert [rescue(bench.ledger, {}) for _ in range(5)] == [TICK_TAKES] * 4 + [0]
    assert bench.ledger.summary().get("sending", 0) == 0


def test_two_rescuers_take_each_job_once(bench: Bench) -> None:
    ids = lose(bench, 2_000)
    taken: list[str] = []

    def note(settlements: Sequence[Settlement]) -> None:
        taken.extend(settlement.claimed.id for settlement in settlements)

    rescuers = [threading.Thread(target=lambda: rescue(bench.ledger, {}, note)) for _ in range(2)]
    for rescuer in rescuers:
        rescuer.start()
    for rescuer in rescuers:
        rescuer.join()
    views = [view for start in range(0, 2_000, 200) for view in bench.ledger.read(ids[start : start + 200])]
    assert [view and len(view.history.attempts()) for view in views] == [1] * 2_000
    # Not their number: two that judge a job in the same millisecond write the same entry, and both are answered "done".
    assert set(taken) == set(ids)
