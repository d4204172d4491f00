"""Check which failures open the circuit breaker, and which job probes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gaugepost.states import JobState
from gaugepost.transitions import Parked, Requeued, Streak
from gaugepost.verdict import Verdict
from support.factories import case, link, record, response, upload
from support.ledger_harness import HOUR_MS, Bench, breaker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gaugepost.jobs import JobBase
    from gaugepost.ledger import Claimed

SERVER = Streak("server", 5, breaker(), jobs=3, sorts=2, apart=True)
LONG_MS = 60_000


def fail(bench: Bench, claimed: Claimed, *, age_ms: int = 500, streak: Streak = SERVER) -> None:
    """Let a second pass, then fail a request that began `age_ms` ago."""
    bench.clock.go(1000)
    bench.settle(claimed, Parked(HOUR_MS, "x"), verdict=Verdict.SERVER_ERROR, streak=streak, age_ms=age_ms)


def fail_all(bench: Bench, jobs: Iterable[JobBase], *, age_ms: int = 500) -> None:
    bench.put(*jobs)
    for claimed in bench.claim():
        fail(bench, claimed, age_ms=age_ms)


def fail_again(bench: Bench, job_id: str, times: int) -> None:
    for _ in range(times):
        bench.ledger.replay([job_id])
        [claimed] = bench.claim()
        assert claimed.id == job_id
        fail(bench, claimed)


def held(bench: Bench) -> bool:
    return "" in bench.ledger.holds()


# What opens it


def test_failures_of_one_job_never_open_the_breaker(bench: Bench) -> None:
    [job_id] = bench.put(record())
    fail(bench, bench.claim()[0])
    fail_again(bench, job_id, 20)
    assert not held(bench)


def test_failures_of_three_jobs_open_it_at_the_fifth(bench: Bench) -> None:
    ids = bench.put(record(), record(), record())
    for claimed in bench.claim():
        fail(bench, claimed)
    fail_again(bench, ids[0], 1)
    assert not held(bench)
    fail_again(bench, ids[0], 1)
    assert held(bench)


def test_requests_that_one_event_failed_together_count_once(bench: Bench) -> None:
    fail_all(bench, (record(configuration=f"c{n}") for n in range(16)), age_ms=LONG_MS)
    assert not held(bench)


def test_request_that_began_before_the_failure_before_was_known_does_not_count(bench: Bench) -> None:
    bench.put(*(record(configuration=f"c{n}") for n in range(9)))
    jobs = bench.claim()
    for claimed in jobs[:4]:
        fail(bench, claimed, age_ms=500)
    for claimed in jobs[4:8]:
        fail(bench, claimed, age_ms=LONG_MS)
    assert not held(bench)
    fail(bench, jobs[8], age_ms=500)
    assert held(bench)


def test_clock_that_stepped_back_stops_no_count(bench: Bench) -> None:
    fail_all(bench, [record(configuration="a")])
    bench.clock.step(-HOUR_MS)
    fail_all(bench, (record(configuration=name) for name in "bcde"))
    assert held(bench)


@pytest.mark.parametrize("other", [record(configuration="other"), link(), case(), response()])
def test_failures_of_one_configuration_open_no_breaker_while_another_is_claimed(bench: Bench, other: JobBase) -> None:
    bench.put(*(record() for _ in range(8)), other)
    jobs = {claimed.id: claimed for claimed in bench.claim()}
    *failing, last = sorted(jobs.values(), key=lambda claimed: claimed.job == other)
    for claimed in failing:
        fail(bench, claimed)
    assert not held(bench)
    fail(bench, last)
    assert held(bench)


def test_failures_of_one_configuration_do_not_open_it_while_another_is_queued(bench: Bench) -> None:
    bench.put(*(record() for _ in range(8)))
    jobs = bench.claim()
    bench.put(*(record(source="bulk") for _ in range(300)), record(configuration="other", source="bulk"))
    for claimed in jobs:
        fail(bench, claimed)
    assert not held(bench)


def test_failures_of_the_only_claimed_configuration_open_it(bench: Bench) -> None:
    bench.put(*(record() for _ in range(300)))
    for claimed in bench.claim(5):
        fail(bench, claimed)
    assert held(bench)


def test_failures_under_a_hold_do_not_count_for_the_next(bench: Bench) -> None:
    bench.put(*(record(configuration=f"c{n}") for n in range(6)))
    *jobs, last = bench.claim()
    bench.ledger.hold("", "maintenance", "ops")
    for claimed in jobs:
        fail(bench, claimed)
    bench.ledger.resume("")
    fail(bench, last)
    assert not held(bench)


def test_streaks_that_nothing_ends_are_forgotten(bench: Bench) -> None:
    bench.put(*(record() for _ in range(300)))
    jobs = [*bench.claim(), *bench.claim(), *bench.claim()]
    for n, claimed in enumerate(jobs):
        fail(bench, claimed, streak=Streak(f"drift:{n}", 5, breaker()))
    assert len(bench.truth().hashes["failures"]) <= 200


# Which job probes it


def opened_by(bench: Bench, *jobs: JobBase) -> list[str]:
    """Open the breaker by failures of these jobs, which stay parked; move the clock to its first probe."""
    ids = bench.put(*jobs)
    for claimed in bench.claim():
        fail(bench, claimed)
    while not held(bench):
        fail_again(bench, ids[-1], 1)
    bench.clock.go(15_000)
    return ids


def test_probe_is_another_job_of_another_configuration(bench: Bench) -> None:
    failed = opened_by(bench, record(), record(), record())
    bench.ledger.replay(failed)
    bench.put(*(record() for _ in range(50)))
    [other] = bench.put(record(configuration="other"))
    [probe] = bench.claim()
    assert (probe.id, probe.probe) == (other, "")
    assert bench.claim(worker="w2") == []
    bench.settle(probe, verdict=Verdict.DELIVERED)
    assert not held(bench)
    assert len(bench.claim()) == 53


@pytest.mark.parametrize("other", [link(), case(), response(), upload(), record(source="other", configuration="c")])
def test_probe_prefers_another_kind(bench: Bench, other: JobBase) -> None:
    failed = opened_by(bench, record(), record(), record())
    bench.ledger.replay(failed)
    bench.put(*(record(source="bulk") for _ in range(50)))
    ids = bench.put(other)
    assert bench.claim_ids() == ids


def test_next_probe_is_another_job_until_all_were_tried(bench: Bench) -> None:
    failed = opened_by(bench, record(), record(), record())
    bench.ledger.replay(failed)
    fresh = bench.put(*(record() for _ in range(3)))
    probes = []
    for _ in range(9):
        [probe] = bench.claim()
        probes.append(probe.id)
        fail(bench, probe)
        bench.ledger.replay([probe.id])
        bench.clock.go(360_000)
    assert probes[:3] == fresh
    assert sorted(probes[3:]) == sorted([*failed, *fresh])


def test_job_that_failed_is_probed_again_where_it_is_the_only_one(bench: Bench) -> None:
    failed = opened_by(bench, record(), record(), record())
    bench.ledger.replay(failed[:1])
    assert bench.claim_ids() == failed[:1]


def test_probe_is_found_behind_jobs_that_were_cancelled(bench: Bench) -> None:
    opened_by(bench, record(), record(), record())
    cancelled = bench.put(*(record() for _ in range(60)))
    [last] = bench.put(record(configuration="other"))
    bench.put(*(record() for _ in range(60)))
    bench.ledger.cancel(cancelled)
    bench.ledger.cancel([job_id for job_id in bench.ledger.ids(JobState.QUEUED) if job_id != last])
    assert bench.claim_ids() == [last]


def test_worker_for_urgent_jobs_probes_with_an_urgent_job_only(bench: Bench) -> None:
    opened_by(bench, record(), record(), record())
    bench.put(record(configuration="other"))
    assert bench.claim(urgent_only=True) == []
    urgent = bench.put(record(urgent=True))
    assert [claimed.id for claimed in bench.claim(urgent_only=True)] == urgent


def test_failed_probe_opens_no_hold_after_an_operator_lifted_it(bench: Bench) -> None:
    opened_by(bench, record(), record(), record())
    bench.put(record())
    [probe] = bench.claim()
    bench.ledger.resume("")
    fail(bench, probe)
    assert not held(bench)


def test_probe_of_a_lost_worker_is_followed_by_another_job(bench: Bench) -> None:
    opened_by(bench, record(), record(), record())
    first, second = bench.put(record(), record())
    [probe] = bench.claim()
    assert probe.id == first
    bench.clock.go(LONG_MS * 3)
    bench.settle(probe, Requeued(), verdict=Verdict.LOST_ANSWER, rescue=True)
    bench.clock.go(15_000)
    assert bench.claim_ids() == [second]
