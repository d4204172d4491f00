from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import redis

from gaugepost.states import JobState
from gaugepost.transitions import Dead, Held, Parked, Requeued, Unknown
from gaugepost.verdict import Verdict
from support.factories import MAPPING, case, link, record, upload
from support.ledger_harness import HOUR_MS, NOON, Bench, breaker, mapping_hold
from support.redis_server import running_redis

if TYPE_CHECKING:
    from pathlib import Path

SCOPE = f"configuration:{MAPPING}"
DEAD = Dead(Verdict.INVALID_VALUE)


def test_unsent_job_can_be_cancelled(bench: Bench) -> None:
    queued, first, waiting, file_id, parked = bench.put(record(), case(), case(), upload(), link())
    for claimed in bench.claim():
        bench.settle(claimed, Parked(1, "x") if claimed.id == parked else Requeued())
    assert bench.ledger.cancel([queued, first, waiting, file_id, parked], "ann") == [(JobState.CANCELLED, True)] * 5
    assert [entry["event"] for entry in bench.view(queued).timeline()] == ["enqueued", "cancelled", "cancelled"]
    assert bench.view(queued).timeline()[1]["by"] == "ann"
    assert bench.claim() == []


def test_claimed_or_ended_job_cannot_be_cancelled(bench: Bench) -> None:
    ids = bench.put(record(), record(), record())
    sending, dead, unknown = bench.claim()
    bench.settle(dead, DEAD)
    bench.settle(unknown, Unknown("x"))
    assert bench.ledger.cancel([*ids, "absent"]) == [
        (JobState.SENDING, False),
        (JobState.DEAD, False),
        (JobState.UNKNOWN, False),
        (None, False),
    ]
    bench.settle(sending)


def test_a_second_cancel_changes_nothing(bench: Bench) -> None:
    ids = bench.put(record())
    bench.ledger.cancel(ids)
    before = bench.truth()
    assert bench.ledger.cancel(ids) == [(JobState.CANCELLED, False)]
    assert bench.truth() == before


def test_cancelling_a_job_of_a_lane_frees_the_next_and_keeps_order(bench: Bench) -> None:
    first, second, third, fourth = bench.put(case(), case(), case(), case())
    bench.ledger.cancel([second])
    assert bench.states([third, fourth]) == ["waiting", "waiting"]
    bench.client.delete("gaugepost.eu")
    bench.ledger.cancel([first])
    assert bench.bells() == 1
    assert bench.claim_ids() == [third]


def test_replayed_dead_job_keeps_its_order_and_gets_fresh_tries(bench: Bench) -> None:
    bench.put(record())
    bench.settle(bench.claim()[0], DEAD, verdict=Verdict.INVALID_VALUE)
    later = bench.put(record())
    dead = next(bench.ledger.ids(JobState.DEAD))
    assert bench.ledger.replay([dead], "ann", "mapping corrected") == [(JobState.QUEUED, True)]
    view = bench.view(dead)
    assert (view.verdict, view.ended_at, view.last_verdict) == (None, None, "invalid_value")
    assert (len(view.history.attempts()), view.history.since_replay()) == (1, [])
    assert bench.claim_ids() == [dead, *later]


def test_replayed_job_of_a_lane_waits_only_while_the_lane_is_busy(bench: Bench) -> None:
    first, second, third = bench.put(case(), case(), case())
    bench.settle(bench.claim()[0], DEAD)
    [busy] = bench.claim()
    assert busy.id == second
    assert bench.ledger.replay([first]) == [(JobState.WAITING, True)]
    bench.settle(busy, Parked(1, "x"))
    assert bench.claim() == []
    bench.tick()
    bench.settle(bench.claim()[0])
    [claimed] = bench.claim()
    assert claimed.id == first
    bench.settle(claimed, DEAD)
    bench.settle(bench.claim()[0])
    assert bench.state(third) == "delivered"
    assert bench.ledger.replay([first]) == [(JobState.QUEUED, True)]


def test_two_dead_jobs_of_a_lane_are_replayed_one_after_another(bench: Bench) -> None:
    ids = bench.put(case(), case())
    for _ in ids:
        bench.settle(bench.claim()[0], DEAD)
    assert bench.ledger.replay(ids) == [(JobState.QUEUED, True), (JobState.WAITING, True)]
    bench.settle(bench.claim()[0])
    assert bench.claim_ids() == [ids[1]]


def test_a_parked_job_is_replayed_at_once(bench: Bench) -> None:
    timed, held = bench.put(record(configuration="other"), record())
    one, two = bench.claim()
    bench.settle(one, Parked(HOUR_MS, "x"))
    bench.settle(two, Held(SCOPE, "y"), hold=mapping_hold(MAPPING))
    bench.ledger.resume(SCOPE)
    assert bench.ledger.replay([timed, held]) == [(JobState.QUEUED, True)] * 2
    assert bench.claim_ids() == [timed, held]
    bench.tick()


def test_a_dead_file_waits_for_a_slot_again_with_its_content(bench: Bench) -> None:
    [file_id] = bench.put(upload())
    bench.settle(bench.claim()[0], DEAD)
    assert bench.ledger.replay([file_id]) == [(JobState.WAITING, True)]
    assert bench.claim_ids() == [file_id]
    assert bench.ledger.file_sets.content(file_id)


def test_only_dead_and_parked_jobs_are_replayed(bench: Bench) -> None:
    ids = bench.put(record(), record())
    bench.settle(bench.claim(1)[0])
    assert bench.ledger.replay([*ids, "absent"]) == [
        (JobState.DELIVERED, False),
        (JobState.QUEUED, False),
        (None, False),
    ]


def test_a_dead_job_that_has_an_end_still_expires_after_a_replay(bench: Bench) -> None:
    [job_id] = bench.put(record(expires_at=datetime.fromtimestamp((NOON + HOUR_MS) / 1000, UTC)))
    bench.settle(bench.claim()[0], DEAD)
    bench.ledger.replay([job_id])
    bench.tick(HOUR_MS)
    assert bench.state(job_id) == "expired"


@pytest.mark.parametrize("end", [JobState.DELIVERED, JobState.DEAD])
def test_resolved_unknown_job_frees_its_lane(bench: Bench, end: JobState) -> None:
    first, second = bench.put(case(), case())
    bench.settle(bench.claim()[0], Unknown("answer lost"))
    bench.client.delete("gaugepost.eu")
    assert bench.ledger.resolve([first, second, "absent"], end, "ann") == [
        (end, True),
        (JobState.QUEUED, False),
        (None, False),
    ]
    view = bench.view(first)
    assert (view.state, view.reason) == (end, None)
    assert view.verdict == (None if end is JobState.DELIVERED else "lost_answer")
    assert view.timeline()[1]["by"] == "ann"
    assert bench.bells() == 1
    assert bench.claim_ids() == [second]
    assert bench.ledger.resolve([first], end) == [(end, False)]


def test_operators_hold_shows_who_why_and_until_when(bench: Bench) -> None:
    bench.ledger.hold(SCOPE, "mapping is being changed", "ann", NOON + HOUR_MS)
    hold = bench.ledger.holds()[SCOPE]
    assert (hold.reason, hold.by, hold.since, hold.until) == ("mapping is being changed", "ann", NOON, NOON + HOUR_MS)
    assert bench.ledger.resume(SCOPE)
    assert not bench.ledger.resume(SCOPE)


def test_operators_hold_replaces_an_automatic_one_and_is_not_probed(bench: Bench) -> None:
    bench.put(record())
    bench.settle(bench.claim()[0], Requeued(), hold=breaker())
    bench.ledger.hold("", "wait", "ops")
    bench.tick(HOUR_MS)
    assert bench.claim() == []
    bench.ledger.resume("")
    assert len(bench.claim()) == 1


def test_probe_in_flight_does_not_lift_an_operators_newer_hold(bench: Bench) -> None:
    bench.put(record())
    bench.settle(bench.claim()[0], Requeued(), hold=breaker())
    bench.clock.go(15_000)
    [probe] = bench.claim()
    bench.ledger.hold("", "wait", "ops")
    bench.settle(probe, verdict=Verdict.DELIVERED)
    assert bench.ledger.holds()[""].by == "ops"


def test_resume_lifts_an_automatic_hold_and_rings(bench: Bench) -> None:
    ids = bench.put(record())
    bench.settle(bench.claim()[0], Requeued(), hold=breaker())
    bench.client.delete("gaugepost.eu")
    assert bench.ledger.resume("")
    assert bench.bells() == 1
    assert bench.claim_ids() == ids


def test_listings_walk_every_state_in_its_order(bench: Bench) -> None:
    ids = bench.put(*(record() for _ in range(450)), link())
    assert list(bench.ledger.ids(JobState.QUEUED)) == [ids[-1], *ids[:-1]]
    one, two, three, *rest = (claimed for _ in range(5) for claimed in bench.claim())
    for claimed in (one, two):
        bench.settle(claimed)
        bench.clock.go(1)
    bench.settle(three, Held(SCOPE, "x"), hold=mapping_hold(MAPPING))
    bench.settle(rest[0], Parked(1, "x"))
    assert list(bench.ledger.ids(JobState.DELIVERED)) == [two.id, one.id]
    assert list(bench.ledger.ids(JobState.PARKED)) == [rest[0].id, three.id]
    assert set(bench.ledger.ids(JobState.SENDING)) == {claimed.id for claimed in rest[1:]}
    bench.ledger.resume(SCOPE)
    assert set(bench.ledger.ids(JobState.PARKED)) == {rest[0].id, three.id}


def test_summary_counts_every_state_and_names_the_oldest_queued_job(bench: Bench) -> None:
    old = bench.put(record())
    bench.clock.go(1000)
    bench.put(record(), case(), case(), upload())
    bench.ledger.cancel(old)
    summary = bench.ledger.summary()
    now = bench.client.time()[0] * 1000
    assert {name: summary[name] for name in ("region", "queued", "waiting", "cancelled", "sending")} == {
        "region": "eu",
        "queued": 2,
        "waiting": 2,
        "cancelled": 1,
        "sending": 0,
    }
    assert summary["oldest_age"] == pytest.approx((now - NOON - 1000) / 1000, abs=5)
    bench.ledger.hold("", "x", "ops")
    assert bench.ledger.summary()["holds"] == ["region"]


def test_nothing_queued_has_no_age(bench: Bench) -> None:
    bench.ledger.cancel(bench.put(record(), link()))
    assert bench.ledger.summary()["oldest_age"] is None


def test_read_returns_none_for_an_unknown_id_in_its_place(bench: Bench) -> None:
    [job_id] = bench.put(record(source="crm", labels=["a"], idempotency_key="k"))
    absent, view = bench.ledger.read(["absent", job_id])
    assert absent is None
    assert view is not None
    fields = view.to_dict()
    names = {"id", "kind", "region", "state", "reason", "until", "attempts", "result", "warnings", "enqueued_at"}
    assert names | {"ended_at", "idempotency_key", "source"} <= fields.keys()
    assert (fields["source"], fields["labels"], fields["idempotency_key"]) == ("crm", ["a"], "k")
    assert "a@b.example" not in str(fields)


@pytest.mark.starts_process
def test_operators_commands_work_while_redis_is_full(tmp_path: Path) -> None:
    with running_redis(tmp_path, "--maxmemory-policy", "noeviction") as url, redis.Redis.from_url(url) as client:
        bench = Bench(client)
        dead, unknown, queued = bench.put(record(), link(), case())
        by_id = {claimed.id: claimed for claimed in bench.claim()}
        bench.settle(by_id[dead], DEAD)
        bench.settle(by_id[unknown], Unknown("answer lost"))
        bench.settle(by_id[queued], Requeued())
        client.config_set("maxmemory", 1)
        for scope in ("", SCOPE):
            assert bench.ledger.hold(scope, "maintenance", "ann")
            assert bench.ledger.resume(scope, "ann")
        assert bench.ledger.resolve([unknown], JobState.DELIVERED, "ann") == [(JobState.DELIVERED, True)]
        assert bench.ledger.replay([dead], "ann") == [(JobState.QUEUED, True)]
        assert bench.ledger.cancel([queued], "ann") == [(JobState.CANCELLED, True)]
        client.config_set("maxmemory", 0)
