"""Check that a hold on one family of endpoints stops only the jobs for these endpoints."""

from __future__ import annotations

from gaugepost.ledger import Claimed
from gaugepost.transitions import Held, HoldSpec
from gaugepost.verdict import Verdict
from support.factories import case, file_delete, link, record, response, upload
from support.ledger_harness import Bench

IMPORTS = "endpoints:imports"
PROBES = (30_000, 60_000)


def throttle(bench: Bench, claimed: Claimed, scope: str = IMPORTS) -> None:
    hold = HoldSpec(scope, "throttled", Verdict.THROTTLED, PROBES)
    assert bench.settle(claimed, Held(scope, "throttled"), verdict=Verdict.THROTTLED, counted=False, hold=hold)


def test_only_the_kinds_of_throttled_endpoints_wait(bench: Bench) -> None:
    [refused] = bench.claim() if bench.put(record()) else []
    throttle(bench, refused)
    waiting = bench.put(record(), link())
    others = bench.put(case(), response(), file_delete(), upload())
    assert set(bench.claim_ids()) == set(others)
    assert bench.states(waiting) == ["parked", "parked"]
    assert {bench.view(job_id).reason for job_id in [refused.id, *waiting]} == {"throttled"}
    assert {bench.view(job_id).until for job_id in waiting} == {bench.clock.ms + PROBES[0]}


def test_queued_job_says_which_hold_it_would_meet(bench: Bench) -> None:
    bench.put(record())
    [refused] = bench.claim()
    throttle(bench, refused)
    [queued] = bench.put(record())
    assert bench.view(queued).reason == "hold: throttled"


def test_delivered_probe_releases_the_waiting_jobs(bench: Bench) -> None:
    bench.put(record())
    throttle(bench, bench.claim()[0])
    ids = bench.put(*(record() for _ in range(5)))
    assert bench.claim_ids() == []
    bench.tick(PROBES[0])
    [probe] = bench.claim()
    assert probe.probe == IMPORTS
    assert bench.settle(probe, verdict=Verdict.DELIVERED)
    bench.tick()
    assert bench.claim_ids() == ids


def test_throttled_probe_doubles_the_wait_and_halves_the_concurrency(bench: Bench) -> None:
    bench.put(record())
    throttle(bench, bench.claim()[0])
    assert bench.ledger.summary()["concurrency_limit"] == 8
    bench.tick(PROBES[0])
    throttle(bench, bench.claim()[0])
    hold = bench.ledger.holds()[IMPORTS]
    assert hold.probe_at == bench.clock.ms + PROBES[1]
    assert bench.ledger.summary()["concurrency_limit"] == 4


def test_operator_holds_and_resumes_uploads_alone(bench: Bench) -> None:
    scope = "endpoints:uploads"
    ids = bench.put(upload(), record())
    bench.ledger.hold(scope, "closed", "me")
    assert bench.ledger.upload_lane().held
    assert bench.claim_ids() == [ids[1]]
    bench.ledger.resume(scope)
    bench.tick()
    assert bench.claim_ids() == [ids[0]]
