"""The leases on the jobs that a worker has not settled yet."""

from __future__ import annotations

import structlog.testing

from gaugepost.ledger import Claimed
from gaugepost.ledger.history import History
from gaugepost.testing import Memory
from gaugepost.transitions import Requeued
from gaugepost_workers.in_flight import InFlight
from support.factories import link, record
from support.ledger_harness import Bench


def claimed(job_id: str, fence: int = 1, *, urgent: bool = False) -> Claimed:
    return Claimed(job_id, fence, 0, link() if urgent else record(), History())


def test_lease_is_renewed_when_a_third_of_it_has_passed() -> None:
    bench, jobs = Bench(Memory().client), InFlight(90)
    bench.put(record())
    lease = jobs.add(bench.claim()[0], 0.0)
    jobs.renew(bench.ledger, 30.0)
    assert lease.renewed_at == 0.0
    jobs.renew(bench.ledger, 31.0)
    assert lease.renewed_at == 31.0
    assert jobs.holds(lease)


def test_lease_that_redis_did_not_renew_is_lost() -> None:
    bench, jobs = Bench(Memory().client), InFlight(90)
    bench.put(record())
    [taken] = bench.claim()
    lease = jobs.add(taken, 0.0)
    bench.settle(taken, Requeued())  # as a rescuer does when the lease has ended
    jobs.renew(bench.ledger, 31.0)
    assert not jobs.holds(lease)
    assert taken.id in jobs, "its settlement will be refused, and releases it"


def test_lease_is_renewed_when_redis_is_back() -> None:
    memory, jobs = Memory(), InFlight(90)
    bench = Bench(memory.client)
    bench.put(record())
    lease = jobs.add(bench.claim()[0], 0.0)
    memory.set_reachable(yes=False)
    with structlog.testing.capture_logs() as logged:
        jobs.renew(bench.ledger, 31.0)
    assert [(line["event"], line["jobs"]) for line in logged] == [("renew failed", 1)]
    assert (lease.renewed_at, lease.lost) == (0.0, False)
    memory.set_reachable(yes=True)
    jobs.renew(bench.ledger, 32.0)
    assert lease.renewed_at == 32.0


def test_job_that_was_claimed_again_is_not_released_by_its_earlier_claim() -> None:
    jobs = InFlight(90)
    first, second = claimed("a"), claimed("a", fence=2)
    old = jobs.add(first, 0.0)
    new = jobs.add(second, 100.0)
    jobs.release(first)
    assert not jobs.holds(old)
    assert jobs.holds(new)
    jobs.release(second)
    assert len(jobs) == 0


def test_urgent_jobs_are_counted() -> None:
    jobs = InFlight(90)
    jobs.add(claimed("a"), 0.0)
    jobs.add(claimed("b", urgent=True), 0.0)
    assert (len(jobs), jobs.urgent()) == (2, 1)
    jobs.clear()
    assert (len(jobs), jobs.urgent()) == (0, 0)
