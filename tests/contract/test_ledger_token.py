"""Check the shared token: one worker fetches it and the others wait; one failed request counts as one failure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gaugepost.transitions import Held, HoldSpec
from gaugepost.verdict import Verdict
from support.factories import MAPPING, record, response
from support.ledger_harness import HOUR_MS, Bench
from support.wait import wait_until

if TYPE_CHECKING:
    from gaugepost.ledger import Hold

OAUTH = "credentials:oauth"
NO_TOKEN = HoldSpec(
    OAUTH, "no token: timed out", Verdict.UNREACHABLE, (1_000, 2_000, 5_000), label="credentials"
)  # fmt: skip
REFUSED = replace(NO_TOKEN, reason="token endpoint: HTTP 401", verdict=Verdict.REFUSED_CREDENTIALS, probe_ms=(60_000,))


def test_one_of_many_fetches_the_token_and_the_others_get_it(bench: Bench) -> None:
    assert bench.ledger.token("w1", 36_000).to_fetch
    assert not bench.ledger.token("w2", 36_000).to_fetch
    assert bench.ledger.put_token("w2", b"not mine to give", 1000, 900) == 0
    assert bench.ledger.put_token("w1", b"sealed", 10_000, 9_000) == 1
    shared = bench.ledger.token("w2", 36_000)
    assert (shared.sealed, shared.generation, shared.left_ms, shared.to_fetch) == (b"sealed", 1, 10_000, False)


def test_a_token_is_renewed_early_by_one_and_used_by_all_meanwhile(bench: Bench) -> None:
    bench.ledger.token("w1", 36_000)
    bench.ledger.put_token("w1", b"sealed", 10_000, 9_000)
    bench.clock.go(9_000)
    first, second = bench.ledger.token("w1", 36_000), bench.ledger.token("w2", 36_000)
    assert (first.to_fetch, second.to_fetch, second.sealed) == (True, False, b"sealed")
    bench.clock.go(1_000)
    assert bench.ledger.token("w2", 36_000).sealed == b""


def test_a_refused_token_is_dropped_once_and_never_the_newer_one(bench: Bench) -> None:
    bench.ledger.token("w1", 36_000)
    bench.ledger.put_token("w1", b"one", 10_000, 9_000)
    assert bench.ledger.drop_token(1)
    assert not bench.ledger.drop_token(1)
    bench.ledger.token("w1", 36_000)
    assert bench.ledger.put_token("w1", b"two", 10_000, 9_000) == 2
    assert not bench.ledger.drop_token(1)
    assert bench.ledger.token("w1", 36_000).sealed == b"two"


def test_it_is_noted_when_the_shared_token_was_fetched(bench: Bench) -> None:
    def noted() -> bytes | None:
        return bench.client.hget(bench.ledger.keys["token"], "fetched")

    bench.ledger.token("w1", 36_000)
    bench.ledger.put_token("w1", b"one", 10_000, 9_000)
    assert noted() == f"1:{bench.clock.ms}".encode()
    bench.clock.go(9_000)
    bench.ledger.token("w1", 36_000)
    bench.ledger.put_token("w1", b"two", 10_000, 9_000)
    assert noted() == f"2:{bench.clock.ms}".encode()
    bench.ledger.drop_token(2)
    assert noted() is None


# The lock


def test_lock_is_given_again_to_the_worker_that_has_it(bench: Bench) -> None:
    assert [bench.ledger.token("w1", 36_000).to_fetch for _ in range(2)] == [True, True]


def test_lock_lasts_while_it_is_prolonged_and_no_longer(bench: Bench) -> None:
    """This test uses the real clock, since Redis expires keys by it."""
    bench.ledger.token("w1", 200)
    assert bench.ledger.token("w1", 36_000).to_fetch
    assert not bench.ledger.token("w2", 36_000).to_fetch
    assert bench.client.pttl(bench.ledger.keys["token_lock"]) > 200
    bench.ledger.token("w1", 20)
    wait_until(lambda: bench.ledger.token("w2", 36_000).to_fetch, what="the lock is free")


def test_answer_that_comes_after_the_lock_was_lost_is_not_shared(bench: Bench) -> None:
    bench.ledger.token("w1", 36_000)
    fail(bench, "w2")
    assert bench.ledger.holds() == {}
    assert bench.ledger.token("w1", 36_000).to_fetch


# Failures


def fail(bench: Bench, who: str = "w1", spec: HoldSpec = NO_TOKEN) -> None:
    bench.ledger.put_token_failure(who, "no answer", spec)


def fetch_and_fail(bench: Bench, spec: HoldSpec = NO_TOKEN) -> Hold | None:
    assert bench.ledger.token("w1", 36_000).to_fetch
    fail(bench, spec=spec)
    return bench.ledger.holds().get(OAUTH)


def test_failed_token_request_holds_all_jobs_that_need_a_token(bench: Bench) -> None:
    hold = fetch_and_fail(bench)
    assert hold is not None
    assert (hold.reason, hold.label, hold.verdict, hold.by) == (
        NO_TOKEN.reason, "credentials", Verdict.UNREACHABLE, "gaugepost",
    )  # fmt: skip
    bench.clock.go(999)
    shared = bench.ledger.token("w2", 36_000)
    assert (shared.to_fetch, shared.failure) == (False, b"no answer")
    bench.clock.go(1)
    assert bench.ledger.token("w2", 36_000).to_fetch
    assert set(bench.ledger.holds()) == {OAUTH}


def test_each_failure_in_a_row_waits_longer(bench: Bench) -> None:
    waits, began = [], bench.clock.ms
    for _ in range(4):
        hold = fetch_and_fail(bench)
        assert hold is not None
        assert hold.since == began
        waits.append((hold.probe_at or 0) - bench.clock.ms)
        bench.clock.go(waits[-1])
    assert waits == [1_000, 2_000, 5_000, 5_000]


@pytest.mark.parametrize("how", ["success", "person", "time", "verdict"])
def test_waits_restart_after(bench: Bench, how: str) -> None:
    for _ in range(3):
        fetch_and_fail(bench)
        bench.clock.go(5_000)
    match how:
        case "success":
            bench.ledger.token("w1", 36_000)
            bench.ledger.put_token("w1", b"sealed", 10_000, 9_000)
            bench.ledger.drop_token(1)
        case "person":
            bench.ledger.resume(OAUTH)
        case "time":
            bench.clock.go(HOUR_MS)
        case _:
            hold = fetch_and_fail(bench, REFUSED)
            assert hold is not None
            assert (hold.reason, hold.verdict) == (REFUSED.reason, Verdict.REFUSED_CREDENTIALS)
            bench.clock.go(60_000)
    hold = fetch_and_fail(bench)
    assert hold is not None
    assert hold.probe_at == bench.clock.ms + 1_000


def test_failed_early_refresh_holds_nothing(bench: Bench) -> None:
    bench.ledger.token("w1", 36_000)
    bench.ledger.put_token("w1", b"sealed", 10_000, 5_000)
    bench.clock.go(5_000)
    assert fetch_and_fail(bench) is None
    shared = bench.ledger.token("w2", 36_000)
    assert (shared.sealed, shared.to_fetch, shared.failure) == (b"sealed", False, b"")


def test_operators_hold_on_credentials_stays(bench: Bench) -> None:
    bench.ledger.hold(OAUTH, "new secret", "ann")
    hold = fetch_and_fail(bench)
    assert hold is not None
    assert (hold.by, hold.probe_at) == ("ann", None)
    bench.clock.go(1_000)
    bench.ledger.token("w1", 36_000)
    bench.ledger.put_token("w1", b"sealed", 10_000, 9_000)
    assert OAUTH in bench.ledger.holds()


def test_jobs_held_for_a_token_resume_when_it_arrives(bench: Bench) -> None:
    waited, other = bench.put(record(), response())
    [claimed, key] = bench.claim()
    fetch_and_fail(bench)
    bench.settle(claimed, Held(OAUTH, "credentials"), counted=False)
    bench.settle(key)
    [met] = bench.put(record())
    assert bench.claim() == []
    assert bench.states([waited, other, met]) == ["parked", "delivered", "parked"]
    assert {bench.view(one).reason for one in (waited, met)} == {NO_TOKEN.reason}
    assert bench.truth().hashes["counts"]["parked:credentials"] == "2"
    bench.tick(1_000)
    [probe] = bench.claim()
    assert (probe.id, probe.probe, probe.history.entries) == (waited, OAUTH, ())
    bench.ledger.token("w1", 36_000)
    bench.ledger.put_token("w1", b"sealed", 10_000, 9_000)
    assert bench.ledger.holds() == {}
    bench.settle(probe, verdict=Verdict.DELIVERED)
    bench.tick()
    assert bench.claim_ids() == [met]


def test_job_settled_after_the_token_arrived_opens_no_hold(bench: Bench) -> None:
    bench.put(record())
    [claimed] = bench.claim()
    fetch_and_fail(bench)
    bench.clock.go(1_000)
    bench.ledger.token("w1", 36_000)
    bench.ledger.put_token("w1", b"sealed", 10_000, 9_000)
    bench.settle(claimed, Held(OAUTH, "credentials"), counted=False)
    assert bench.ledger.holds() == {}
    bench.tick()
    assert bench.claim_ids() == [claimed.id]


def test_slow_start_of_a_configuration_does_not_delay_a_probe(bench: Bench) -> None:
    bench.put(record(), record(), record())
    jobs = bench.claim()
    fetch_and_fail(bench)
    for claimed in jobs:
        bench.settle(claimed, Held(OAUTH, "credentials"), counted=False)
    bench.client.hset(bench.ledger.keys["cold"], MAPPING, f"{bench.clock.ms + HOUR_MS}:{jobs[-1].id}")
    bench.tick(1_000)
    assert bench.claim_ids() == [jobs[0].id]
