"""Check jobs that are parked under a hold, and when they give up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gaugepost.transitions import Held
from gaugepost.verdict import Verdict
from support.factories import MAPPING, record
from support.ledger_harness import HOUR_MS, NOON, Bench, mapping_hold

if TYPE_CHECKING:
    from gaugepost.ledger import Claimed


def claimed_record(bench: Bench) -> Claimed:
    bench.put(record())
    return bench.claim()[-1]


SCOPE = f"configuration:{MAPPING}"


def test_job_parked_under_a_missing_hold_is_released(bench: Bench) -> None:
    claimed = claimed_record(bench)
    bench.settle(claimed, Held(SCOPE, "unknown_mapping"))
    bench.tick()
    assert bench.state(claimed.id) == "queued"


def test_give_up_time_counts_from_first_parking_through_all_probes(bench: Bench) -> None:
    claimed = claimed_record(bench)
    held = Held(SCOPE, "unknown_mapping", 48 * HOUR_MS)
    bench.settle(claimed, held, verdict=Verdict.UNKNOWN_MAPPING, hold=mapping_hold(MAPPING))
    while bench.clock.ms < NOON + 46 * HOUR_MS:
        bench.tick(2 * HOUR_MS)
        for probe in bench.claim():
            assert probe.probe == SCOPE
            bench.settle(probe, held, verdict=Verdict.UNKNOWN_MAPPING, hold=mapping_hold(MAPPING))
    assert bench.state(claimed.id) == "parked"
    bench.clock.set(NOON + 48 * HOUR_MS)
    bench.ledger.promote()
    assert (bench.state(claimed.id), bench.view(claimed.id).verdict) == ("dead", "unknown_mapping")


def test_probe_job_gives_up_only_after_its_probe_ends(bench: Bench) -> None:
    claimed = claimed_record(bench)
    held = Held(SCOPE, "unknown_mapping", 1_000_000)
    bench.settle(claimed, held, verdict=Verdict.UNKNOWN_MAPPING, hold=mapping_hold(MAPPING))
    bench.tick(999_000)
    [probe] = bench.claim()
    bench.tick(2000)
    assert bench.state(claimed.id) == "sending"
    bench.settle(probe, held, verdict=Verdict.UNKNOWN_MAPPING, hold=mapping_hold(MAPPING))
    bench.tick()
    assert (bench.state(claimed.id), bench.view(claimed.id).verdict) == ("dead", "unknown_mapping")


def test_jobs_parked_at_claim_give_up_like_the_first_parked_one(bench: Bench) -> None:
    claimed = claimed_record(bench)
    hold = replace(mapping_hold(MAPPING), give_up_ms=48 * HOUR_MS)
    bench.settle(claimed, Held(SCOPE, "unknown_mapping", 48 * HOUR_MS), hold=hold)
    [other] = bench.put(record())
    assert bench.claim() == []
    bench.clock.go(48 * HOUR_MS)
    bench.ledger.promote()
    assert bench.states([claimed.id, other]) == ["dead", "dead"]


def test_no_job_gives_up_under_an_operators_hold(bench: Bench) -> None:
    claimed = claimed_record(bench)
    bench.settle(claimed, Held(SCOPE, "unknown_mapping", 48 * HOUR_MS), hold=mapping_hold(MAPPING))
    bench.ledger.hold(SCOPE, "we are at it", "ops")
    bench.tick(100 * HOUR_MS)
    assert bench.state(claimed.id) == "parked"


def test_another_hold_is_another_wait(bench: Bench) -> None:
    claimed = claimed_record(bench)
    held = Held(SCOPE, "unknown_mapping", 48 * HOUR_MS)
    bench.settle(claimed, held, hold=mapping_hold(MAPPING))
    bench.clock.go(40 * HOUR_MS)
    bench.ledger.resume(SCOPE)
    bench.tick()
    bench.settle(bench.claim()[0], held, hold=mapping_hold(MAPPING))
    bench.clock.go(40 * HOUR_MS)
    bench.ledger.resume(SCOPE)
    bench.tick()
    assert bench.state(claimed.id) == "queued"
