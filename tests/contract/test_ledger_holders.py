"""Fail over to a replica that lacks a claim: of two workers with one fencing token the ledger refuses one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gaugepost.transitions import Dead, Delivered, Parked, Requeued, Unknown
from gaugepost.verdict import Verdict
from support.factories import link, record, upload
from support.ledger_harness import LEASE_MS, Bench, breaker

if TYPE_CHECKING:
    import redis

    from gaugepost.jobs import JobBase
    from gaugepost.ledger import Claimed
    from gaugepost.transitions import Transition


class Replica:
    """A copy of the store at one moment, which a fail-over restores."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._copy = {key: client.dump(key) for key in client.scan_iter()}

    def promote(self) -> None:
        self._client.flushall()
        for key, value in self._copy.items():
            self._client.restore(key, 0, value)


def claimed_twice(bench: Bench, job: JobBase) -> tuple[Claimed, Claimed]:
    """Claim a job on the old master and on the new one; return both claims."""
    bench.put(job)
    replica = Replica(bench.client)
    [lost] = bench.claim(worker="w1")
    replica.promote()
    [current] = bench.claim(worker="w2")
    assert (lost.id, lost.fence) == (current.id, current.fence), "no two holders: nothing was proved"
    return lost, current


def test_each_claim_has_a_holder_of_its_own(bench: Bench) -> None:
    lost, current = claimed_twice(bench, record())
    assert lost.holder
    assert current.holder
    assert lost.holder != current.holder


@pytest.mark.parametrize("job", [link(on_unknown="hold"), upload()], ids=["link", "file"])
def test_mark_is_refused_to_a_holder_that_the_fail_over_forgot(bench: Bench, job: JobBase) -> None:
    lost, current = claimed_twice(bench, job)
    assert bench.ledger.mark(lost) == (-1, 0)
    assert bench.ledger.mark(current) == (1, 0)
    assert bench.ledger.mark(lost) == (-1, 0)


def test_renew_is_refused_to_a_holder_that_the_fail_over_forgot(bench: Bench) -> None:
    lost, current = claimed_twice(bench, record())
    assert bench.ledger.renew([lost, current]) == [False, True]


@pytest.mark.parametrize(
    "transition", [Delivered(), Parked(1, "x"), Dead(Verdict.DUPLICATE), Unknown("x"), Requeued()], ids=str
)
def test_settle_is_refused_to_a_holder_that_the_fail_over_forgot(bench: Bench, transition: Transition) -> None:
    lost, current = claimed_twice(bench, record())
    before = bench.truth()
    assert not bench.settle(lost, transition, hold=breaker(), verdict=Verdict.SERVER_ERROR)
    assert bench.truth() == before
    assert bench.settle(current, transition)


def test_the_rescuer_takes_the_job_from_the_holder_it_saw_only(bench: Bench) -> None:
    lost, current = claimed_twice(bench, record())
    bench.clock.go(LEASE_MS)
    assert [one.claimed for one in bench.ledger.ended_leases()] == [current]
    assert not bench.settle(lost, Requeued(), rescue=True)
    assert bench.settle(current, Requeued(), rescue=True)


def test_a_repeated_claim_does_not_return_a_job_of_another_holder(bench: Bench) -> None:
    bench.put(record())
    [claimed] = bench.claim(token="t")
    assert bench.claim(token="t") == [claimed]
    bench.client.hset(f"gaugepost:{{eu}}:job:{claimed.id}", "holder", "another")
    assert bench.claim(token="t") == []


def claimed_by_an_older_worker(bench: Bench) -> Claimed:
    """Claim a job as an older version does, without a holder."""
    bench.put(record())
    [claimed] = bench.claim()
    bench.client.hdel(f"gaugepost:{{eu}}:job:{claimed.id}", "holder")
    return claimed


def test_a_job_that_an_older_worker_claimed_is_rescued(bench: Bench) -> None:
    claimed_by_an_older_worker(bench)
    bench.clock.go(LEASE_MS)
    [lost] = bench.ledger.ended_leases()
    assert lost.claimed.holder == ""
    assert bench.settle(lost.claimed, Requeued(), rescue=True)


def test_a_job_that_an_older_worker_claimed_is_refused_to_any_holder(bench: Bench) -> None:
    claimed = claimed_by_an_older_worker(bench)
    assert bench.ledger.renew([claimed]) == [False]
    assert bench.ledger.mark(claimed) == (-1, 0)
    assert not bench.settle(claimed)


def test_a_job_at_rest_keeps_no_holder(bench: Bench) -> None:
    bench.put(*(record() for _ in range(5)))
    ends = [Delivered(), Parked(1, "x"), Dead(Verdict.DUPLICATE), Unknown("x"), Requeued()]
    for claimed, transition in zip(bench.claim(), ends, strict=True):
        bench.settle(claimed, transition)
    assert [job_id for job_id, job in bench.truth().jobs.items() if "holder" in job] == []
