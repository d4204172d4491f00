"""Check the slow start: while a configuration's first job has no answer, its jobs delay no other configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gaugepost import JobState
from gaugepost.ledger import Settlement
from gaugepost.transitions import Dead, Decision, Delivered, Held, Parked, Requeued, Transition
from gaugepost.verdict import Verdict
from support.factories import record
from support.ledger_harness import LEASE_MS, mapping_hold

if TYPE_CHECKING:
    from gaugepost.ledger import Claimed
    from support.ledger_harness import Bench

NEW, OTHER = "new", "other"
FIRST_MS = 120_000  # how long a first job may go without being claimed


def put(bench: Bench, number: int, configuration: str = NEW, **more: object) -> list[str]:
    return bench.put(*(record(configuration=configuration, **more) for _ in range(number)))


def give_back_all_but_the_first(bench: Bench, claim: list[Claimed]) -> Claimed:
    """Settle as a worker for which the configuration is new: the first job stays claimed."""
    first, *others = (claimed for claimed in claim if claimed.job.mapping == NEW)
    behind = [Settlement(claimed, Decision(Requeued(first.id), counted=False)) for claimed in others]
    assert all(bench.ledger.settle(behind))
    return first


def deliver(bench: Bench, first: Claimed) -> None:
    assert bench.ledger.settle([Settlement(first, Decision(Delivered()), warms=True)]) == [True]


def claim_all(bench: Bench) -> list[str]:
    """Claim until no job is left."""
    taken: list[str] = []
    for call in range(1_000):
        claim = bench.ledger.claim("w1", f"all-{len(taken)}-{call}", 10)
        taken += [claimed.id for claimed in claim.jobs]
        if not claim.jobs and not claim.left:
            return taken
    raise AssertionError("there is no end of it")


def test_other_configurations_are_claimed_while_a_first_job_is_in_flight(bench: Bench) -> None:
    put(bench, 500)
    others = put(bench, 50, OTHER)
    give_back_all_but_the_first(bench, bench.claim(20))
    assert claim_all(bench) == others
    assert bench.ledger.summary()["queued"] == 499
    assert bench.truth().faults == []


def test_one_claim_passes_over_a_bounded_number(bench: Bench) -> None:
    put(bench, 2_000)
    give_back_all_but_the_first(bench, bench.claim(10))
    claim = bench.ledger.claim("w1", "one", 10)
    assert (claim.jobs, claim.left > 0) == ([], True)
    assert bench.client.llen("gaugepost:{eu}:ready:~new") <= 9 + 10 * 10


def test_when_the_first_job_is_delivered_all_go_in_the_order_enqueued(bench: Bench) -> None:
    new = put(bench, 200, source="bulk")
    bench.put(*(record(configuration=OTHER, source="bulk") for _ in range(5)))
    first = give_back_all_but_the_first(bench, bench.claim(20))
    bench.claim(3)  # passes over some of them, and not over all
    later = put(bench, 20, source="bulk")
    deliver(bench, first)
    taken = [job_id for job_id in claim_all(bench) if job_id in {*new, *later}]
    assert taken == [*new[1:], *later]
    assert bench.truth().hashes.get("cold") is None
    assert bench.truth().faults == []


def test_two_workers_that_meet_a_new_configuration_at_once_keep_its_order(bench: Bench) -> None:
    ids = put(bench, 60)
    one, two = bench.claim(10, "w1"), bench.claim(10, "w2")
    give_back_all_but_the_first(bench, two)
    bench.claim(1)
    first = give_back_all_but_the_first(bench, one)
    deliver(bench, first)
    out = {first.id, two[0].id}
    assert claim_all(bench) == [job_id for job_id in ids if job_id not in out]


def test_retried_jobs_keep_their_place_in_a_slow_start(bench: Bench) -> None:
    ids = put(bench, 40)
    for claimed in bench.claim(5):
        bench.settle(claimed, Parked(1_000, "server_error"))
    first = give_back_all_but_the_first(bench, bench.claim(10))
    bench.tick(2_000)
    assert bench.claim(10) == []
    deliver(bench, first)
    assert claim_all(bench) == [job_id for job_id in ids if job_id != first.id]


def test_jobs_of_a_slow_start_do_not_delay_other_sources(bench: Bench) -> None:
    put(bench, 100, source="bulk")
    first = give_back_all_but_the_first(bench, bench.claim(50))
    assert bench.claim(50) == []
    deliver(bench, first)
    put(bench, 100, OTHER, source="crm")
    sources = [claimed.job.source for claimed in bench.claim(20)]
    assert sources.count("crm") >= 5


def test_urgent_jobs_aside_stay_urgent(bench: Bench) -> None:
    put(bench, 10)
    urgent = put(bench, 5, urgent=True)
    first = give_back_all_but_the_first(bench, bench.claim(10))
    deliver(bench, first)
    assert first.id == urgent[0]
    assert bench.claim_ids(4) == urgent[1:]


@pytest.mark.parametrize("end", [Dead(Verdict.DUPLICATE), Parked(600_000, "lost_answer")])
def test_after_an_undelivered_first_job_the_next_is_sent_alone(bench: Bench, end: Transition) -> None:
    ids = put(bench, 30)
    first = give_back_all_but_the_first(bench, bench.claim(10))
    assert bench.claim(10) == []
    bench.settle(first, end)
    [second] = bench.claim(10)
    assert (first.id, second.id) == (ids[0], ids[1])
    bench.settle(second, end)
    assert bench.claim_ids(10) == [ids[2]]


def test_several_cold_configurations_hide_no_other_one(bench: Bench) -> None:
    for configuration in ("a", "b", "c"):
        put(bench, 100, configuration)
    others = put(bench, 20, OTHER)
    seen: set[str] = set()
    firsts: dict[str, Claimed] = {}
    while len(seen) < len(others):
        behind = []
        for claimed in bench.claim(30):
            if claimed.id in others:
                seen.add(claimed.id)
            elif (first := firsts.setdefault(str(claimed.job.mapping), claimed)) is not claimed:
                behind.append(Settlement(claimed, Decision(Requeued(first.id), counted=False)))
        bench.ledger.settle(behind)
    assert firsts.keys() == {"a", "b", "c"}
    assert bench.truth().faults == []


def test_a_mapping_fault_keeps_all_under_its_hold(bench: Bench) -> None:
    put(bench, 60)
    first = give_back_all_but_the_first(bench, bench.claim(10))
    bench.claim(2)
    scope = f"configuration:{NEW}"
    bench.settle(first, Held(scope, "unknown_mapping"), verdict=Verdict.UNKNOWN_MAPPING, hold=mapping_hold(NEW))
    assert claim_all(bench) == []
    assert bench.ledger.summary()["parked_by_reason"] == {"unknown_mapping": 60}
    assert bench.truth().faults == []


def test_next_job_is_sent_when_the_worker_of_the_first_is_lost(bench: Bench) -> None:
    ids = put(bench, 30)
    first = give_back_all_but_the_first(bench, bench.claim(10))
    bench.clock.go(LEASE_MS + 1)
    bench.settle(first, Parked(600_000, "lost_answer"), rescue=True)
    assert bench.claim_ids(10) == [ids[1]]


def test_next_job_is_claimed_when_first_one_is_cancelled_before_claim(bench: Bench) -> None:
    ids = put(bench, 30)
    first = give_back_all_but_the_first(bench, bench.claim(10))
    bench.settle(first, Dead(Verdict.DUPLICATE))
    bench.ledger.cancel([ids[1]])
    assert bench.claim(10) == []
    bench.tick(FIRST_MS + 1)
    assert bench.claim_ids(10) == [ids[2]]


def test_a_configuration_that_delivered_lately_is_warm_for_every_worker(bench: Bench) -> None:
    put(bench, 30)
    assert not bench.ledger.is_warm(NEW)
    one, two, *_ = bench.claim(10)
    deliver(bench, one)
    assert bench.ledger.is_warm(NEW)
    bench.ledger.settle([Settlement(two, Decision(Requeued(two.id), counted=False))])
    assert bench.claim_ids(1) == [two.id], "no job waits for a first answer"


def test_jobs_aside_are_listed_and_can_be_cancelled(bench: Bench) -> None:
    ids = put(bench, 30)
    first = give_back_all_but_the_first(bench, bench.claim(10))
    bench.claim(10)
    assert sorted(bench.ledger.ids(JobState.QUEUED)) == sorted(ids[1:])
    assert bench.ledger.cancel(ids[1:20]) == [(JobState.CANCELLED, True)] * 19
    deliver(bench, first)
    assert claim_all(bench) == ids[20:]
    assert bench.truth().faults == []
