"""Check the ticks: due jobs, released holds, probes, bells and upload slots, all at a bounded rate."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
import redis

from gaugepost.errors import StoreFull
from gaugepost.transitions import Held, Parked, Requeued
from gaugepost.verdict import Verdict
from support.factories import MAPPING, case, link, record, upload
from support.ledger_harness import HOUR_MS, LEASE_MS, NOON, SLOT_MS, Bench, breaker, mapping_hold
from support.redis_server import running_redis

if TYPE_CHECKING:
    from pathlib import Path

SCOPE = f"configuration:{MAPPING}"
DAY_MS = 24 * HOUR_MS


def hold_mapping(bench: Bench, jobs: int) -> list[str]:
    """Park so many jobs under an automatic hold of their mapping."""
    ids = bench.put(*(record() for _ in range(jobs)))
    taken = itertools.chain.from_iterable(bench.claim() for _ in range(-(-jobs // 100)))
    for claimed in taken:
        bench.settle(claimed, Held(SCOPE, "unknown_mapping"), hold=mapping_hold(MAPPING))
    assert set(bench.states(ids)) == {"parked"}
    return ids


def test_parked_job_is_released_at_its_time_and_not_before(bench: Bench) -> None:
    [job_id] = bench.put(record())
    bench.settle(bench.claim()[0], Parked(5000, "x"))
    bench.client.delete("gaugepost.eu")
    assert bench.tick(4999) == 0
    assert bench.tick(1) == 1
    view = bench.view(job_id)
    assert (view.state, view.reason, view.until) == ("queued", None, None)
    assert bench.bells() == 1


def test_due_jobs_go_in_the_order_enqueued_whenever_they_were_due(bench: Bench) -> None:
    ids = bench.put(*(record() for _ in range(3)))
    for claimed, delay in zip(bench.claim(), (300, 200, 100), strict=True):
        bench.settle(claimed, Parked(delay, "x"))
    bench.tick()
    assert bench.claim_ids() == ids


def test_due_file_returns_to_its_lane(bench: Bench) -> None:
    ids = bench.put(upload())
    bench.settle(bench.claim()[0], Parked(1, "x"))
    bench.tick()
    assert bench.states(ids) == ["waiting"]
    assert bench.claim_ids() == ids


def test_due_jobs_are_released_at_a_bounded_rate_by_several_beats(bench: Bench) -> None:
    for _ in range(3):
        bench.put(*(record() for _ in range(1000)))
        for _ in range(10):
            for claimed in bench.claim():
                bench.settle(claimed, Parked(1, "x"))
    assert [bench.tick(1000), bench.tick(0), bench.tick(0), bench.tick(250), bench.tick(10_000)] == [
        2000,
        0,
        0,
        500,
        500,
    ]


def test_lifted_hold_releases_200_jobs_a_second_in_enqueue_order(bench: Bench) -> None:
    ids = hold_mapping(bench, 450)
    assert bench.ledger.resume(SCOPE)
    assert [bench.tick(1000), bench.ledger.promote(), bench.tick(500), bench.tick(60_000), bench.tick()] == [
        200,
        0,
        100,
        150,
        0,
    ]
    claimed = [job_id for _ in range(5) for job_id in bench.claim_ids()]
    assert claimed == ids
    assert "releasing" not in bench.truth().other


def test_new_hold_keeps_jobs_not_yet_released(bench: Bench) -> None:
    hold_mapping(bench, 3)
    bench.ledger.resume(SCOPE)
    bench.ledger.hold(SCOPE, "no, wait", "ops")
    assert bench.tick() == 0
    assert bench.ledger.summary()["parked"] == 3


def test_when_the_clock_steps_back_the_pace_is_kept_and_nothing_stops(bench: Bench) -> None:
    hold_mapping(bench, 300)
    bench.ledger.resume(SCOPE)
    assert bench.tick(1000) == 200
    bench.clock.step(-DAY_MS)
    assert bench.ledger.promote() == 0
    assert bench.tick(100) == 20
    assert bench.tick(1000) == 80


def test_a_due_hold_sends_one_probe_however_many_beats_tick(bench: Bench) -> None:
    ids = hold_mapping(bench, 5)
    assert bench.tick(299_999) == 0
    assert bench.claim() == []
    for _ in range(10):
        bench.tick(1)
    assert bench.states(ids) == ["queued", *["parked"] * 4]
    [probe] = bench.claim()
    assert (probe.id, probe.probe, probe.probe_verdict) == (ids[0], SCOPE, Verdict.UNKNOWN_MAPPING)
    bench.tick()
    assert bench.claim() == []


def test_mapping_probe_follows_its_schedule_and_its_success_releases_the_others(bench: Bench) -> None:
    ids = hold_mapping(bench, 3)
    waits = []
    for _ in range(4):
        hold = bench.ledger.holds()[SCOPE]
        assert hold.probe_at is not None
        waits.append(hold.probe_at - bench.clock.ms)
        bench.clock.set(hold.probe_at)
        bench.ledger.promote()
        [probe] = bench.claim()
        bench.settle(probe, Held(SCOPE, "unknown_mapping"), verdict=Verdict.UNKNOWN_MAPPING, hold=mapping_hold(MAPPING))
        assert bench.view(ids[0]).until == bench.ledger.holds()[SCOPE].probe_at
    assert waits == [300_000, 1_800_000, 7_200_000, 7_200_000]
    bench.tick(7_200_000)
    bench.settle(bench.claim()[0], verdict=Verdict.DELIVERED)
    assert bench.ledger.holds() == {}
    bench.tick()
    assert bench.claim_ids() == ids[1:]


def test_no_probe_of_a_mapping_is_sent_while_the_region_is_held(bench: Bench) -> None:
    ids = hold_mapping(bench, 3)
    bench.ledger.hold("", "maintenance", "ops", NOON + DAY_MS)
    for _ in range(5):
        bench.tick(HOUR_MS)
    assert bench.states(ids) == ["parked"] * 3
    bench.tick(DAY_MS)
    bench.tick()
    assert len(bench.claim()) == 1


def test_hold_without_waiting_jobs_ends_at_its_probe_time(bench: Bench) -> None:
    ids = hold_mapping(bench, 1)
    bench.ledger.cancel(ids)
    bench.tick(300_000)
    assert bench.ledger.holds() == {}


def test_operators_hold_ends_at_its_time_and_releases_its_jobs(bench: Bench) -> None:
    ids = bench.put(record())
    bench.ledger.hold(SCOPE, "x", "ops", NOON + HOUR_MS)
    bench.claim()
    bench.tick(HOUR_MS - 1)
    assert bench.states(ids) == ["parked"]
    bench.tick(1)
    bench.tick(1000)
    assert bench.claim_ids() == ids


def test_operators_hold_without_an_end_stays(bench: Bench) -> None:
    ids = bench.put(record())
    bench.ledger.hold(SCOPE, "x", "ops")
    bench.claim()
    bench.tick(1000 * DAY_MS)
    assert bench.states(ids) == ["parked"]


def test_a_lost_bell_is_rung_again_by_the_next_tick(bench: Bench) -> None:
    bench.put(record(), link())
    bench.client.delete("gaugepost.eu", "gaugepost.eu.urgent")
    bench.tick()
    assert (bench.bells(), bench.bells("gaugepost.eu.urgent")) == (1, 1)


def test_a_held_region_is_rung_for_when_its_probe_is_due(bench: Bench) -> None:
    bench.put(record())
    bench.settle(bench.claim()[0], Requeued(), hold=breaker())
    bench.client.delete("gaugepost.eu")
    bench.tick(14_999)
    assert bench.bells() == 0
    bench.tick(1)
    assert bench.bells() == 1


def test_the_slot_rings_only_when_a_file_may_go(bench: Bench) -> None:
    assert not bench.ledger.open_slot()
    bench.put(upload("a.csv"), upload("b.csv"))
    bench.client.delete("gaugepost.eu")
    assert bench.ledger.open_slot()
    assert bench.bells() == 1
    [claimed] = bench.claim()
    bench.ledger.mark(claimed)
    bench.settle(claimed)
    bench.client.delete("gaugepost.eu")
    assert not bench.ledger.open_slot()
    bench.clock.go(SLOT_MS)
    bench.ledger.hold("", "x", "ops")
    assert not bench.ledger.open_slot()
    bench.ledger.resume("")
    assert bench.ledger.open_slot()


@pytest.mark.starts_process
def test_full_store_refuses_new_jobs_and_delivers_the_old(tmp_path: Path) -> None:
    with running_redis(tmp_path, "--maxmemory-policy", "noeviction") as url, redis.Redis.from_url(url) as client:
        bench = Bench(client)
        bench.put(*(record() for _ in range(5)), upload("a.csv"), case(), case())
        parked = bench.claim(1)[0]
        bench.settle(parked, Parked(1, "x"))
        client.config_set("maxmemory", 1)
        before = bench.truth()
        with pytest.raises(StoreFull):
            bench.put(record())
        assert bench.truth() == before
        client.config_set("maxmemory", 0)
        bench.clock.go(1000)
        client.config_set("maxmemory", 1)
        bench.ledger.promote()
        jobs = bench.claim(token="t")
        assert bench.claim(token="t") == jobs
        assert len(jobs) == 7
        assert all(bench.ledger.renew(jobs))
        assert bench.ledger.token("w1", 1000).to_fetch
        assert all(bench.ledger.mark(claimed)[0] == 1 for claimed in jobs)
        assert all(bench.settle(claimed, verdict=Verdict.DELIVERED) for claimed in jobs)
        assert len(bench.claim()) == 1
        client.config_set("maxmemory", 0)
        bench.clock.go(30 * DAY_MS)
        client.config_set("maxmemory", 1)
        assert bench.ledger.sweep() == 7
        client.config_set("maxmemory", 0)
        assert bench.truth().faults == []


def test_leases_end_by_the_ledgers_clock(bench: Bench) -> None:
    ids = bench.put(*(record() for _ in range(3)))
    bench.claim()
    bench.clock.go(LEASE_MS)
    assert [lost.claimed.id for lost in bench.ledger.ended_leases(2)] == sorted(ids)[:2]
