"""Step the clock of Redis: workers that renew keep their jobs, and the jobs of a lost worker return soon."""

from __future__ import annotations

import pytest

from gaugepost.ledger import Claimed, Settlement
from gaugepost.transitions import Dead, Decision, Requeued
from gaugepost.verdict import Verdict
from support.factories import record
from support.ledger_harness import HOUR_MS, LEASE_MS, Bench
from support.wait import wait_until

HALF_MS = LEASE_MS // 2


def claim_one(bench: Bench, worker: str = "w1") -> Claimed:
    bench.put(record())
    [claimed] = bench.claim(worker=worker)
    return claimed


def ended(bench: Bench) -> list[str]:
    return [lost.claimed.id for lost in bench.ledger.ended_leases()]


@pytest.mark.parametrize("seen_by", ["promote", "ended_leases"])
@pytest.mark.parametrize("ms", [LEASE_MS, HOUR_MS])
def test_step_forward_takes_no_job_from_worker_that_renews(bench: Bench, ms: int, seen_by: str) -> None:
    bench.tick()
    claimed = claim_one(bench)
    bench.clock.step(ms)
    getattr(bench.ledger, seen_by)()
    assert ended(bench) == []
    bench.clock.go(HALF_MS - 1)
    assert ended(bench) == []
    assert bench.ledger.renew([claimed]) == [True]
    bench.clock.go(LEASE_MS - 1)
    assert ended(bench) == []
    assert bench.settle(claimed)


def test_job_of_lost_worker_comes_back_half_a_lease_after_step_forward(bench: Bench) -> None:
    bench.tick()
    claimed = claim_one(bench)
    bench.clock.step(HOUR_MS)
    assert ended(bench) == []
    bench.clock.go(HALF_MS)
    assert ended(bench) == [claimed.id]
    assert bench.settle(claimed, Requeued(), rescue=True)


def test_each_step_forward_spares_a_renewed_lease_again(bench: Bench) -> None:
    bench.tick()
    claimed = claim_one(bench)
    for _ in range(3):
        bench.clock.step(HOUR_MS)
        assert ended(bench) == []
        assert bench.ledger.renew([claimed]) == [True]


def test_unrenewed_lease_is_spared_once_by_any_number_of_steps(bench: Bench) -> None:
    bench.tick()
    claimed = claim_one(bench)
    bench.clock.step(HOUR_MS)
    assert ended(bench) == []
    bench.clock.step(HOUR_MS)
    assert ended(bench) == [claimed.id]


def test_every_lease_is_spared_however_many_end_in_one_step(bench: Bench) -> None:
    bench.tick()
    bench.put(*(record() for _ in range(250)))
    jobs = [claimed for _ in range(3) for claimed in bench.claim()]
    bench.clock.step(HOUR_MS)
    assert ended(bench) == []
    bench.clock.go(HALF_MS - 1)
    assert ended(bench) == []
    assert all(bench.ledger.renew(jobs))


def test_job_claimed_again_after_a_step_has_a_lease_of_its_own(bench: Bench) -> None:
    bench.tick()
    claimed = claim_one(bench)
    bench.clock.step(HOUR_MS)
    assert ended(bench) == []
    bench.clock.go(HALF_MS)
    assert bench.settle(claimed, Requeued(), rescue=True)
    assert "spared" not in bench.truth().jobs[claimed.id]
    bench.claim(worker="w2")
    bench.clock.go(LEASE_MS)
    assert ended(bench) == [claimed.id]


def test_step_that_no_live_lease_can_miss_delays_no_rescue(bench: Bench) -> None:
    bench.tick()
    claimed = claim_one(bench)
    bench.clock.go(LEASE_MS - 1000)
    bench.clock.step(1000)
    assert ended(bench) == [claimed.id]


@pytest.mark.parametrize("ms", [3 * LEASE_MS, 24 * HOUR_MS])
def test_job_of_lost_worker_comes_back_within_two_leases_of_step_back(bench: Bench, ms: int) -> None:
    claimed = claim_one(bench)
    bench.clock.step(-ms)
    assert ended(bench) == []
    bench.clock.go(2 * LEASE_MS - 1)
    assert ended(bench) == []
    bench.clock.go(1)
    assert ended(bench) == [claimed.id]


def test_worker_that_renews_keeps_its_job_through_step_back(bench: Bench) -> None:
    claimed = claim_one(bench)
    bench.clock.step(-HOUR_MS)
    for _ in range(5):
        assert ended(bench) == []
        assert bench.ledger.renew([claimed]) == [True]
        bench.clock.go(HALF_MS)
    assert bench.settle(claimed)


def test_step_forward_that_is_corrected_leaves_no_trace(bench: Bench) -> None:
    bench.tick()
    claim_one(bench)
    bench.clock.step(HOUR_MS)
    bench.ledger.promote()
    bench.clock.step(-HOUR_MS)
    bench.ledger.promote()
    assert "skipped" not in bench.truth().hashes["pace"]
    bench.clock.go(LEASE_MS)
    assert len(ended(bench)) == 1


def test_configuration_whose_first_job_is_gone_waits_no_longer_after_step_back(bench: Bench) -> None:
    bench.put(*(record() for _ in range(3)))
    first, second, third = bench.claim()
    bench.ledger.settle([Settlement(one, Decision(Requeued(first.id), counted=False)) for one in (second, third)])
    bench.settle(first, Dead(Verdict.DUPLICATE))
    bench.ledger.cancel([second.id])
    bench.clock.step(-24 * HOUR_MS)
    assert bench.claim_ids() == []
    bench.tick()
    assert bench.claim_ids() == [third.id]


def test_token_lock_of_killed_worker_ends_soon_after_step_back(bench: Bench) -> None:
    bench.client.set("gaugepost:{eu}:token_lock", "killed", px=HOUR_MS)  # as after a step back of an hour
    assert not bench.ledger.token("another", 20).to_fetch
    wait_until(lambda: bench.ledger.token("another", 20).to_fetch, within=5)
