"""Check how settlements open holds, and what the answer to a probe does to its hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gaugepost.transitions import Dead, HoldSpec, Parked, Requeued, Streak
from gaugepost.verdict import Verdict
from support.factories import record
from support.ledger_harness import HOUR_MS, LEASE_MS, NOON, Bench, breaker

if TYPE_CHECKING:
    from gaugepost.ledger import Claimed


def test_failures_in_a_row_open_a_hold_and_success_resets_them(bench: Bench) -> None:
    bench.put(*(record() for _ in range(7)))
    jobs = bench.claim()
    streak = Streak("server", 3, breaker())
    for claimed in jobs[:2]:
        bench.settle(claimed, Parked(1, "x"), streak=streak)
    bench.settle(jobs[2], ends_streaks=("server",))
    for claimed in jobs[3:5]:
        bench.settle(claimed, Parked(1, "x"), streak=streak)
    assert bench.ledger.holds() == {}
    bench.settle(jobs[5], Parked(1, "x"), streak=streak)
    hold = bench.ledger.holds()[""]
    assert (hold.reason, hold.by, hold.since, hold.probe_at) == (
        "breaker: server_error",
        "gaugepost",
        NOON,
        NOON + 15_000,
    )
    bench.settle(jobs[6])


def test_existing_hold_is_not_changed(bench: Bench) -> None:
    bench.put(record(), record())
    one, two = bench.claim()
    bench.ledger.hold("", "maintenance", "ops")
    bench.settle(one, Requeued(), hold=breaker())
    bench.settle(two, Requeued(), hold=breaker())
    assert bench.ledger.holds()[""].by == "ops"


def region_probe(bench: Bench) -> Claimed:
    """Open the breaker, and claim its probe."""
    bench.put(record(), record())
    one, two = bench.claim()
    bench.settle(one, Requeued(), hold=breaker())
    bench.settle(two, Requeued())
    bench.clock.go(15_000)
    return bench.claim()[0]


def test_probe_that_fails_as_its_hold_did_extends_the_hold_by_schedule(bench: Bench) -> None:
    probe = region_probe(bench)
    waits = []
    for _ in range(4):
        bench.settle(probe, Requeued(), verdict=Verdict.SERVER_ERROR, hold=breaker())
        hold = bench.ledger.holds()[""]
        assert hold.probe_at is not None
        waits.append(hold.probe_at - bench.clock.ms)
        bench.clock.set(hold.probe_at - 1)
        assert bench.claim() == []
        bench.clock.go(1)
        [probe] = bench.claim()
    assert waits == [60_000, 300_000, 300_000, 300_000]
    bench.settle(probe)


def test_probe_obeys_a_longer_retry_after(bench: Bench) -> None:
    probe = region_probe(bench)
    spec = HoldSpec("", "x", Verdict.SERVER_ERROR, (HOUR_MS,))
    bench.settle(probe, Requeued(), verdict=Verdict.SERVER_ERROR, hold=spec)
    assert bench.ledger.holds()[""].probe_at == bench.clock.ms + HOUR_MS


@pytest.mark.parametrize("verdict", [Verdict.DELIVERED, Verdict.INVALID_VALUE])
def test_any_other_answer_to_a_probe_lifts_the_hold(bench: Bench, verdict: Verdict) -> None:
    probe = region_probe(bench)
    bench.settle(probe, Dead(verdict), verdict=verdict)
    assert bench.ledger.holds() == {}
    assert len(bench.claim()) == 1


def test_probe_with_another_verdict_may_replace_the_hold(bench: Bench) -> None:
    probe = region_probe(bench)
    throttle = HoldSpec("", "throttled", Verdict.THROTTLED, (30_000,))
    bench.settle(probe, Requeued(), verdict=Verdict.THROTTLED, hold=throttle)
    hold = bench.ledger.holds()[""]
    assert (hold.verdict, hold.probe_at) == ("throttled", bench.clock.ms + 30_000)


@pytest.mark.parametrize("verdict", [Verdict.UNREACHABLE, Verdict.LOST_ANSWER, None])
def test_a_probe_without_an_answer_or_given_back_unsent_keeps_the_hold(bench: Bench, verdict: Verdict | None) -> None:
    probe = region_probe(bench)
    bench.settle(probe, Requeued(), verdict=verdict)
    hold = bench.ledger.holds()[""]
    assert hold.probe_at == bench.clock.ms + 15_000
    bench.clock.go(15_000)
    assert bench.claim()[0].probe == ""


PROXY_HOLD = HoldSpec("", "proxy: 10.0.0.1:3128: timed out", Verdict.UNREACHABLE, (15_000, 60_000))


def proxy_probe(bench: Bench) -> Claimed:
    """Open the hold of an egress proxy, and claim its probe."""
    bench.put(record())
    [one] = bench.claim()
    bench.settle(one, Requeued(), counted=False, verdict=Verdict.UNREACHABLE, hold=PROXY_HOLD)
    bench.clock.go(15_000)
    return bench.claim()[0]


def test_proxy_hold_stays_while_its_probe_fails_at_the_proxy(bench: Bench) -> None:
    bench.settle(proxy_probe(bench), Requeued(), counted=False, verdict=Verdict.UNREACHABLE, hold=PROXY_HOLD)
    hold = bench.ledger.holds()[""]
    assert (hold.reason, hold.probe_at) == (PROXY_HOLD.reason, bench.clock.ms + 60_000)


@pytest.mark.parametrize("verdict", [Verdict.UNREACHABLE, Verdict.LOST_ANSWER, Verdict.SERVER_ERROR, Verdict.DELIVERED])
def test_proxy_hold_ends_with_a_probe_that_gets_past_the_proxy(bench: Bench, verdict: Verdict) -> None:
    bench.settle(proxy_probe(bench), Parked(1_000, verdict.value), verdict=verdict)
    assert bench.ledger.holds() == {}


def test_proxy_hold_stays_when_its_probe_is_given_back_unsent(bench: Bench) -> None:
    bench.settle(proxy_probe(bench), Requeued())
    assert "" in bench.ledger.holds()


def test_breaker_stays_when_its_probe_fails_at_the_proxy(bench: Bench) -> None:
    bench.settle(region_probe(bench), Requeued(), counted=False, verdict=Verdict.UNREACHABLE, hold=PROXY_HOLD)
    assert bench.ledger.holds()[""].reason == "breaker: server_error"


def test_a_probe_that_was_given_up_for_lost_decides_nothing_any_more(bench: Bench) -> None:
    late = region_probe(bench)
    bench.clock.go(2 * LEASE_MS)
    [probe] = bench.claim(worker="w2")
    bench.settle(late, verdict=Verdict.DELIVERED)
    assert "" in bench.ledger.holds()
    bench.settle(probe, verdict=Verdict.DELIVERED)
    assert bench.ledger.holds() == {}
