"""The leases on the jobs that a worker has not settled yet."""

from __future__ import annotations

from gaugepost.ledger import Claimed
from gaugepost.ledger.history import History
from gaugepost_workers.in_flight import InFlight, note_renewals
from support.factories import link, record


def claimed(job_id: str, fence: int = 1, *, urgent: bool = False) -> Claimed:
    return Claimed(job_id, fence, 0, link() if urgent else record(), History())


def test_lease_is_due_when_a_third_of_it_has_passed() -> None:
    jobs = InFlight(90)
    lease = jobs.add(claimed("a"), 0.0)
    assert jobs.due(30.0) == []
    assert jobs.due(31.0) == [lease]
    note_renewals([lease], [True], 31.0)
    assert jobs.due(61.0) == []


def test_lease_that_redis_did_not_renew_is_lost() -> None:
    jobs = InFlight(90)
    lease = jobs.add(claimed("a"), 0.0)
    note_renewals([lease], [False], 31.0)
    assert not jobs.holds(lease)
    assert "a" in jobs, "its settlement will be refused, and releases it"


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
