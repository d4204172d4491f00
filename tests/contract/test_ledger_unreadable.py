"""Check jobs whose record is damaged or from a newer version: the ledger sets each aside alone, with a reason."""

from __future__ import annotations

import json

import pytest
import redis

from gaugepost import JobState
from gaugepost.jobs import JobBase
from support.factories import case, record, response
from support.ledger_harness import LEASE_MS, Bench

BROKEN = {
    "no JSON": {"job": "no JSON at all"},
    "not text": {"job": b"\xff\xfe"},
    "another shape": {"job": "[1, 2]"},
    "a kind of a later version": {"job": json.dumps({"kind": "telegram", "region": "eu"})},
    "a field of a later version": {"job": record().to_json().replace('"record":{', '"colour":"red","record":{')},
    "a wrong type": {"job": json.dumps({"kind": "close_loop", "region": "eu", "number_customergauge": "../x"})},
    "no stamp": {"at": "yesterday"},
    "a record that is none": {"history": "{"},
    "a verdict of a later version": {
        "history": json.dumps({"event": "attempt", "n": 1, "at": 1, "ms": 1, "verdict": "bewitched"}) + "\n"
    },
}


@pytest.fixture
def bench(client: redis.Redis) -> Bench:
    """Make a bench without the final consistency check: these tests tamper with the store."""
    return Bench(client)


def tamper(bench: Bench, job_id: str, fields: dict[str, str | bytes]) -> None:
    bench.client.hset(f"gaugepost:{{eu}}:job:{job_id}", mapping=fields)


@pytest.mark.parametrize("fields", BROKEN.values(), ids=BROKEN)
def test_unreadable_job_dies_alone_and_the_rest_of_its_claim_is_sent(bench: Bench, fields: dict[str, str]) -> None:
    first, broken, last = bench.put(record(), record(), record())
    tamper(bench, broken, fields)
    token = "the same call again"
    assert [one.id for one in bench.claim(token=token)] == [first, last]
    assert [one.id for one in bench.claim(token=token)] == [first, last]
    assert bench.client.hget(f"gaugepost:{{eu}}:job:{broken}", "verdict") == b"unreadable"
    assert bench.states([first, broken, last]) == ["sending", "dead", "sending"]
    assert bench.ledger.summary()["dead_by_verdict"] == {"unreadable": 1}


@pytest.mark.parametrize("fields", BROKEN.values(), ids=BROKEN)
def test_unreadable_job_hides_no_other_in_listings(bench: Bench, fields: dict[str, str]) -> None:
    broken, fine = bench.put(record(), record())
    tamper(bench, broken, fields)
    seen = bench.ledger.read([broken, fine])
    assert [view.state for view in seen] == [JobState.QUEUED] * 2
    assert [view.kind in {"unreadable", "telegram", "record", "close_loop"} for view in seen] == [True] * 2
    json.dumps([view.to_dict() for view in seen])


def test_a_record_that_is_no_json_says_so(bench: Bench) -> None:
    [job] = bench.put(record())
    tamper(bench, job, {"job": "{"})
    assert (bench.view(job).kind, bench.view(job).reason) == ("unreadable", "its record cannot be read")


def test_unrecognised_state_is_shown_as_unknown(bench: Bench) -> None:
    [job] = bench.put(record())
    tamper(bench, job, {"state": "bewitched"})
    assert bench.state(job) == "unknown"
    tamper(bench, job, {"state": "queued"})


@pytest.mark.parametrize(("job", "sent", "state"), [(record(), True, "dead"), (response(), True, "unknown")])
def test_unreadable_job_of_lost_worker_is_unknown_if_marked_as_sent(
    bench: Bench, job: JobBase, sent: bool, state: str
) -> None:
    broken, fine = bench.put(job, record())
    for claimed in bench.claim():
        if claimed.id == broken and claimed.job.once:
            bench.ledger.mark(claimed)
    tamper(bench, broken, {"job": "{"})
    bench.clock.go(LEASE_MS)
    assert [lost.claimed.id for lost in bench.ledger.ended_leases()] == [fine]
    assert bench.state(fine) == "sending"
    assert bench.client.hget(f"gaugepost:{{eu}}:job:{broken}", "state").decode() == state
    assert bench.ledger.ended_leases()[0].claimed.id == fine


def test_unreadable_job_frees_its_lane(bench: Bench) -> None:
    broken, follower = bench.put(case(), case())
    tamper(bench, broken, {"job": "{"})
    assert bench.claim() == []
    assert bench.claim_ids() == [follower]


def test_repaired_job_can_be_replayed(bench: Bench) -> None:
    [job] = bench.put(record())
    tamper(bench, job, {"job": "{"})
    assert bench.claim() == []
    tamper(bench, job, {"job": record().to_json()})
    view = bench.view(job)
    assert view.last_verdict == "unreadable"
    assert [(one["event"], one.get("why")) for one in view.timeline()][1] == (
        "set aside", "its record cannot be read: InvalidJob",
    )  # fmt: skip
    assert bench.ledger.replay([job]) == [(JobState.QUEUED, True)]
    assert bench.claim_ids() == [job]


@pytest.mark.parametrize("fields", BROKEN.values(), ids=BROKEN)
def test_unreadable_job_strands_no_other_under_a_hold(bench: Bench, fields: dict[str, str]) -> None:
    broken, fine = bench.put(record(), case())
    tamper(bench, broken, fields)
    bench.ledger.hold("configuration:another", "closed", "me")
    assert bench.claim_ids() == [fine]
    assert bench.states([broken, fine]) == ["dead", "sending"]
