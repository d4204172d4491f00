"""Check what the ledger records of each minute: deliveries, deaths, waiting jobs, latency."""

from __future__ import annotations

import pytest

from gaugepost.ledger.region_history import Period
from gaugepost.transitions import Dead, Requeued
from gaugepost.verdict import Verdict
from support.factories import record
from support.ledger_harness import HOUR_MS, NOON, Bench

MINUTE_MS = 60_000


def last(bench: Bench) -> Period:
    return bench.ledger.history().minutes[-1]


def deliver(bench: Bench, number: int, after_ms: int) -> None:
    """Enqueue jobs, and deliver them so long after."""
    bench.put(*(record() for _ in range(number)))
    bench.clock.go(after_ms)
    for claimed in bench.claim(number):
        bench.settle(claimed)


def test_minute_has_its_deliveries_deaths_and_waiting_jobs(bench: Bench) -> None:
    bench.put(*(record() for _ in range(6)))
    bench.clock.go(20_000)
    first, second, third, *rest = bench.claim()
    bench.settle(first)
    bench.settle(second)
    bench.settle(third, Dead(Verdict.INVALID_VALUE))
    for claimed in rest:
        bench.settle(claimed, Requeued())
    bench.clock.go(40_000)
    bench.ledger.sweep()
    found = last(bench)
    assert (found.at, found.delivered, found.dead, found.waiting) == (NOON, 2, 1, 3)
    assert found.p50_s == pytest.approx(20, rel=0.1)


def test_minute_that_has_not_ended_is_not_recorded_yet(bench: Bench) -> None:
    deliver(bench, 1, 59_999)
    bench.ledger.sweep()
    assert [period.delivered for period in bench.ledger.history().minutes if period.at >= NOON] == []


def test_repeated_sweep_records_a_minute_once(bench: Bench) -> None:
    deliver(bench, 3, 1_000)
    bench.clock.go(MINUTE_MS)
    for _ in range(3):
        bench.ledger.sweep()
    assert [period.delivered for period in bench.ledger.history().minutes if period.at >= NOON] == [3]


def test_missed_minutes_are_caught_up_without_their_waiting_jobs(bench: Bench) -> None:
    bench.ledger.sweep()
    for _ in range(3):
        deliver(bench, 2, 1_000)
        bench.clock.go(MINUTE_MS - 1_000)
    bench.ledger.sweep()
    rows = bench.ledger.history().minutes[-3:]
    assert [row.delivered for row in rows] == [2, 2, 2]
    assert [row.waiting for row in rows] == [None, None, 0]


def test_percentiles_differ_between_fast_and_slow_jobs(bench: Bench) -> None:
    deliver(bench, 90, 100)
    deliver(bench, 10, 30_000)
    bench.clock.go(MINUTE_MS)
    bench.ledger.sweep()
    assert last(bench).p50_s == pytest.approx(0.1, rel=0.1)
    assert last(bench).p95_s == pytest.approx(30, rel=0.1)


def test_sample_of_many_jobs_stands_for_all_of_them(bench: Bench) -> None:
    deliver(bench, 450, 100)
    deliver(bench, 50, 20_000)
    bench.clock.go(MINUTE_MS)
    bench.ledger.sweep()
    assert last(bench).delivered == 500
    assert last(bench).p50_s == pytest.approx(0.1, rel=0.1)
    assert last(bench).p95_s == pytest.approx(20, rel=0.1)


def test_quarter_has_the_sums_of_its_minutes_and_the_most_that_waited(bench: Bench) -> None:
    for minute in range(16):
        bench.put(*(record() for _ in range(minute % 4 + 1)))
        bench.clock.go(MINUTE_MS)
        bench.ledger.sweep()
        for claimed in bench.claim(1_000):
            bench.settle(claimed)
    quarter = bench.ledger.history().quarters[-1]
    minutes = [row for row in bench.ledger.history().minutes if quarter.at <= row.at < quarter.at + 15 * MINUTE_MS]
    assert quarter.at == NOON
    assert len(minutes) == 15
    assert quarter.delivered == sum(row.delivered for row in minutes) == sum(minute % 4 + 1 for minute in range(14))
    assert quarter.waiting == max(row.waiting or 0 for row in minutes) == 4
    assert quarter.p50_s == pytest.approx(60, rel=0.1)


def test_history_stays_bounded_after_days(bench: Bench) -> None:
    for _ in range(30):
        bench.clock.go(HOUR_MS)
        bench.ledger.sweep()
    assert bench.client.llen(bench.ledger.keys["history_minutes"]) == 75
    assert bench.client.llen(bench.ledger.keys["history_quarters"]) == 96
    assert bench.client.pttl(bench.ledger.keys["history_minutes"]) > HOUR_MS


def test_clock_that_steps_back_starts_a_new_history(bench: Bench) -> None:
    deliver(bench, 1, 1_000)
    bench.clock.go(MINUTE_MS)
    bench.ledger.sweep()
    bench.clock.step(-2 * HOUR_MS)
    bench.ledger.sweep()
    assert [row.at for row in bench.ledger.history().minutes] == [NOON - 2 * HOUR_MS]


def test_damaged_stamp_of_a_delivered_job_is_left_out(bench: Bench) -> None:
    deliver(bench, 2, 1_000)
    job_id = next(iter(bench.ledger.ids("delivered")))  # type: ignore[arg-type]
    stamp = bench.client.hget(bench.ledger.keys.of("job:", job_id), "at")
    bench.client.hset(bench.ledger.keys.of("job:", job_id), "at", "x")
    bench.clock.go(MINUTE_MS)
    bench.ledger.sweep()
    bench.client.hset(bench.ledger.keys.of("job:", job_id), "at", stamp or "")
    assert last(bench).delivered == 2
    assert last(bench).p50_s == pytest.approx(1, rel=0.1)
