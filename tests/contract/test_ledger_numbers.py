"""Check that a job with text in place of a number is set aside alone: no call fails, all other jobs are delivered."""

from __future__ import annotations

import json

import pytest
import redis

from gaugepost import JobState
from gaugepost.jobs import JobBase
from gaugepost.ledger import Claimed, Settlement
from gaugepost.transitions import Dead, Decision, Held, Parked, Requeued
from gaugepost.verdict import Verdict
from support.factories import case, record, response, upload
from support.ledger_harness import LEASE_MS, Bench, mapping_hold

NUMBERS = ("at", "fence", "expires", "give_up", "until", "ended", "revision", "spared", "marked")
VALUES = ("", "x", "1.5", "-1", "1e3", "0x10", "nan", " 7", "9" * 17, "9" * 19, "9" * 400, b"\xff\xfe")
Value = str | bytes


@pytest.fixture
def bench(client: redis.Redis) -> Bench:
    """Make a bench without the final consistency check: these tests tamper with the store."""
    return Bench(client)


@pytest.fixture(params=NUMBERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def tamper(bench: Bench, job_id: str, name: str, value: Value) -> None:
    bench.client.hset(f"gaugepost:{{eu}}:job:{job_id}", name, value)


def field(bench: Bench, job_id: str, name: str) -> str:
    found: bytes | None = bench.client.hget(f"gaugepost:{{eu}}:job:{job_id}", name)  # type: ignore[assignment]
    return (found or b"").decode()


def look(bench: Bench, ids: list[str]) -> None:
    """Make every call that shows the ledger to people or to monitoring."""
    bench.ledger.summary()
    bench.ledger.oldest_urgent_age()
    if type(bench.client) is redis.Redis:  # the store in memory has no INFO
        bench.ledger.statistics()
    json.dumps([view.to_dict() for view in bench.ledger.read(ids) if view])


def deliver_all(bench: Bench, ids: list[str]) -> None:
    """Tick, rescue, claim and settle until none of these calls finds work."""
    for _ in range(2 * len(ids)):
        bench.tick(LEASE_MS + 1)
        lost = [one.claimed for one in bench.ledger.ended_leases()]
        bench.ledger.settle([Settlement(one, Decision(Requeued())) for one in lost], rescue=True)
        bench.ledger.open_slot()
        for claimed in bench.claim():
            bench.ledger.renew([claimed])
            if claimed.job.once and not claimed.phase:
                bench.ledger.mark(claimed)
            bench.settle(claimed)
        look(bench, ids)


def has_ended_or_waits_for_a_person(bench: Bench, job_id: str) -> bool:
    state = JobState(field(bench, job_id, "state"))
    return state in {JobState.DELIVERED, JobState.DEAD, JobState.UNKNOWN, JobState.EXPIRED, JobState.CANCELLED}


def tamper_with_each(bench: Bench, ids: list[str], name: str) -> None:
    for job_id, value in zip(ids, VALUES, strict=True):
        tamper(bench, job_id, name, value)


def test_claim_sets_aside_unreadable_jobs_and_returns_the_rest(bench: Bench, name: str) -> None:
    broken = bench.put(*(record() for _ in VALUES))
    mates = bench.put(record(), response(), upload())
    head, follower = bench.put(case(), case())
    tamper_with_each(bench, broken, name)
    tamper(bench, head, name, "x")
    look(bench, [*broken, *mates])
    assert {claimed.id for claimed in bench.claim()} >= set(mates)
    deliver_all(bench, [*broken, *mates])
    assert {bench.state(one) for one in [*mates, follower]} == {"delivered"}
    assert all(has_ended_or_waits_for_a_person(bench, one) for one in [*broken, head])


def test_lost_leases_of_other_jobs_are_rescued(bench: Bench, name: str) -> None:
    broken = bench.put(*(record() for _ in VALUES))
    mates = bench.put(record(), case())
    sent, head, follower = bench.put(response(), case(number_customergauge="7"), case(number_customergauge="7"))
    for claimed in bench.claim():
        if claimed.job.once:
            bench.ledger.mark(claimed)
    tamper_with_each(bench, broken, name)
    for one in (sent, head):
        tamper(bench, one, name, "x")
    look(bench, [*broken, *mates])
    deliver_all(bench, [*broken, *mates])
    assert {bench.state(one) for one in [*mates, follower]} == {"delivered"}
    assert all(has_ended_or_waits_for_a_person(bench, one) for one in [*broken, sent, head])


def settle_all(bench: Bench, jobs: list[Claimed], *ends: Decision) -> None:
    bench.ledger.settle([Settlement(one, end) for one, end in zip(jobs, ends, strict=True)])


@pytest.mark.parametrize("how", ["queued", "parked", "held", "held until it gives up", "aside", "dead"])
def test_unreadable_job_of_any_state_does_not_stop_the_others(bench: Bench, name: str, how: str) -> None:
    ids = bench.put(record(), *(record() for _ in VALUES), record())
    first, mate, broken = ids[0], ids[-1], ids[1:-1]
    jobs = bench.claim()
    mapping = str(jobs[0].job.mapping)
    scope, hold = f"configuration:{mapping}", mapping_hold(mapping)
    ends = {
        "queued": Decision(Requeued()),
        "parked": Decision(Parked(1000, "x")),
        "held": Decision(Held(scope, "x"), hold=hold),
        "held until it gives up": Decision(Held(scope, "x", 1000), hold=hold),
        "aside": Decision(Requeued(first)),
        "dead": Decision(Dead(Verdict.DUPLICATE)),
    }
    settle_all(bench, jobs, *(ends["queued" if how == "aside" and one.id == first else how] for one in jobs))
    tamper_with_each(bench, broken, name)
    look(bench, ids)
    bench.ledger.resume(scope)
    bench.ledger.replay(ids)
    deliver_all(bench, ids)
    assert [bench.state(one) for one in (first, mate)] == ["delivered"] * 2
    assert all(has_ended_or_waits_for_a_person(bench, one) for one in broken)


@pytest.mark.parametrize("job", [record(), case(), upload()], ids=lambda job: job.kind)
def test_cancel_ends_any_of_them(bench: Bench, name: str, job: JobBase) -> None:
    ids = bench.put(*(job for _ in VALUES))
    tamper_with_each(bench, ids, name)
    assert [done for _, done in bench.ledger.cancel(ids)] == [True for _ in VALUES]
    assert {field(bench, one, "state") for one in ids} == {"cancelled"}
    look(bench, ids)


@pytest.mark.parametrize("name", ["at", "fence"])
def test_job_set_aside_shows_why(bench: Bench, name: str) -> None:
    [queued, sent] = bench.put(record(), response())
    tamper(bench, queued, name, "x")
    [claimed] = bench.claim()
    bench.ledger.mark(claimed)
    tamper(bench, sent, name, "x")
    bench.clock.go(LEASE_MS)
    assert bench.ledger.ended_leases() == []
    assert [field(bench, one, "state") for one in (queued, sent)] == ["dead", "unknown"]
    assert field(bench, queued, "verdict") == field(bench, sent, "reason") == "unreadable"
    for one in (queued, sent):
        last = json.loads(field(bench, one, "history").splitlines()[-1])
        assert (last["event"], last["why"]) == ("set aside", f"its record cannot be read: {name}")
    assert bench.ledger.summary()["dead_by_verdict"] == {"unreadable": 1}
