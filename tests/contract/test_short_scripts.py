"""Check work that is split over several script calls: no job is lost or overtaken between the calls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from gaugepost.ledger import Settlement
from gaugepost.ledger.entry import READ_WHOLE
from gaugepost.ledger.worker_calls import DUE_AT_ONCE, HOLDS_AT_ONCE
from gaugepost.transitions import Dead, Decision, Held, Parked, Requeued
from gaugepost.verdict import Verdict
from support.factories import MAPPING, link, record
from support.ledger_harness import LEASE_MS, Bench, mapping_hold

if TYPE_CHECKING:
    from gaugepost.jobs import JobBase

SCOPE = f"configuration:{MAPPING}"
LARGE = {f"Comment {n}": "x" * 9_000 for n in range(100)}


def large(**more: object) -> JobBase:
    return record(record=LARGE, **more)


def claim_all(bench: Bench) -> list[list[str]]:
    """Claim until no job is left; return the jobs of each claim."""
    taken: list[list[str]] = []
    while ids := bench.claim_ids():
        taken.append(ids)
    return taken


def test_large_jobs_are_claimed_few_at_a_time_in_their_order(bench: Bench) -> None:
    ids = bench.put(*(large() for _ in range(12)))
    taken = claim_all(bench)
    assert [job_id for some in taken for job_id in some] == ids
    assert max(map(len, taken)) < len(ids)


def test_small_jobs_are_claimed_beside_large_ones_of_another_source(bench: Bench) -> None:
    bench.put(*(large(source="bulk") for _ in range(12)))
    small = bench.put(*(record(source="web") for _ in range(5)))
    taken = claim_all(bench)
    assert set(small) <= {job_id for some in taken[:3] for job_id in some}


def test_a_large_job_that_was_put_back_can_be_cancelled(bench: Bench) -> None:
    ids = bench.put(*(large() for _ in range(12)))
    first = bench.claim_ids()
    bench.ledger.cancel(ids[len(first) : -1])
    assert bench.claim_ids() == ids[-1:]


def test_large_jobs_are_read_whole_in_several_calls(bench: Bench) -> None:
    ids = bench.put(*(large() for _ in range(12)))
    views = bench.ledger.read([*ids, "nobody"])
    assert [view.id if view else None for view in views] == [*ids, None]
    assert all(len(view.job["record"]) == len(LARGE) for view in views if view)


def test_large_jobs_of_a_lost_worker_are_rescued_step_by_step(bench: Bench) -> None:
    ids = bench.put(*(large() for _ in range(12)))
    claim_all(bench)
    bench.clock.go(LEASE_MS)
    steps = []
    while lost := bench.ledger.ended_leases():
        steps.append([one.claimed.id for one in lost])
        bench.ledger.settle([Settlement(one.claimed, Decision(Requeued())) for one in lost], rescue=True)
    assert sorted(job_id for step in steps for job_id in step) == sorted(ids)
    assert len(steps) > 1


def test_every_due_job_is_released_beyond_the_limit_of_one_script(bench: Bench) -> None:
    number = 2 * DUE_AT_ONCE + 10
    bench.put(*(record() for _ in range(number)))
    while jobs := bench.claim():
        for claimed in jobs:
            bench.settle(claimed, Parked(1, "x"))
    assert bench.tick(1000) == number


def test_of_very_many_holds_each_gets_its_probe_within_a_few_ticks(bench: Bench) -> None:
    number = 2 * HOLDS_AT_ONCE + 10
    ids = bench.put(*(record(configuration=f"m{n}") for n in range(number)))
    while jobs := bench.claim():
        for claimed in jobs:
            mapping = str(claimed.job.mapping)
            bench.settle(claimed, Held(f"configuration:{mapping}", "x"), hold=mapping_hold(mapping))
    bench.clock.go(300_000)
    for _ in range(10):
        bench.ledger.promote()
    probes = []
    while jobs := bench.claim():
        probes += jobs
    assert {probe.id: probe.probe for probe in probes} == {
        job_id: f"configuration:m{n}" for n, job_id in enumerate(ids)
    }


def test_of_very_many_lifted_holds_each_releases_its_jobs(bench: Bench) -> None:
    number = 250
    ids = bench.put(*(record(configuration=f"m{n}") for n in range(number)))
    for n in range(number):
        bench.ledger.hold(f"configuration:m{n}", "x", "ops")
    while bench.claim():
        pass
    assert set(bench.states(ids)) == {"parked"}
    for n in range(number):
        bench.ledger.resume(f"configuration:m{n}")
    for _ in range(10):
        bench.tick()
    assert set(bench.states(ids)) == {"queued"}


# A short job's kind and configuration are read from its JSON, a long job's from a field beside it

LONG = {"Email": "a@b.example", "Comment": "x" * READ_WHOLE}


def has_field(bench: Bench, job_id: str) -> bool:
    return bool(bench.client.hexists(f"gaugepost:{{eu}}:job:{job_id}", "about"))


def forget(bench: Bench, job_id: str) -> None:
    """Store a long job as an older version does, which keeps no kind and configuration beside the JSON."""
    assert bench.client.hdel(f"gaugepost:{{eu}}:job:{job_id}", "about")


@pytest.mark.parametrize(
    ("job", "is_long"),
    [(record(), False), (link(), False), (record(record=LONG), True), (link(record=LONG), True)],
    ids=["record", "link", "long record", "long link"],
)
@pytest.mark.parametrize("scope", [SCOPE, "credentials:oauth"])
def test_job_meets_the_hold_of_its_configuration_and_credentials(
    bench: Bench, job: JobBase, is_long: bool, scope: str
) -> None:
    [job_id] = bench.put(job)
    assert has_field(bench, job_id) == is_long
    bench.ledger.hold(scope, "closed", "ops")
    assert bench.view(job_id).reason == "hold: closed"
    assert bench.claim() == []
    assert bench.state(job_id) == "parked"


@pytest.mark.parametrize("scope", [SCOPE, "credentials:oauth"])
def test_long_job_of_an_older_version_meets_the_same_holds(bench: Bench, scope: str) -> None:
    [job_id] = bench.put(record(record=LONG))
    forget(bench, job_id)
    bench.ledger.hold(scope, "closed", "ops")
    assert bench.claim() == []
    assert bench.state(job_id) == "parked"


def test_an_edited_job_meets_the_hold_of_its_new_configuration(bench: Bench) -> None:
    """An older version edits the JSON and leaves the newer version's fields beside it unchanged."""
    [job_id] = bench.put(record())
    [claimed] = bench.claim()
    bench.settle(claimed, Dead(Verdict.INVALID_VALUE))
    key, other = f"gaugepost:{{eu}}:job:{job_id}", record(configuration="another")
    bench.client.hset(key, mapping={"job": other.to_json(), "revision": 1})
    bench.ledger.replay([job_id])
    bench.ledger.hold("configuration:another", "closed", "ops")
    bench.ledger.hold(SCOPE, "closed", "ops")
    assert bench.claim() == []
    assert bench.client.hget(key, "scope") == b"configuration:another"


def test_only_the_holds_that_concern_the_jobs_are_read_with_them(bench: Bench) -> None:
    [job_id] = bench.put(record())
    for n in range(50):
        bench.ledger.hold(f"configuration:m{n}", "x", "ops")
    bench.ledger.hold(SCOPE, "closed", "ops")
    answers: list[list[bytes]] = []
    call = bench.ledger.producer_calls.read([job_id])
    bench.ledger._run(type(call)(call.script, call.keys, call.args, answers.extend))
    [scope, text] = answers[0]
    assert (scope.decode(), json.loads(text)["reason"]) == (SCOPE, "closed")
