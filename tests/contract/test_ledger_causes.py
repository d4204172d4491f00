"""Check that a hold lists the failed requests that opened it, and that a worker logs each change of a hold once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from gaugepost.ledger.notices import Death, HoldChange
from gaugepost.transitions import Dead, Held, HoldSpec, Parked, Requeued, Streak
from gaugepost.verdict import Verdict
from support.factories import MAPPING, link, record
from support.ledger_harness import HOUR_MS, NOON, Bench, breaker, mapping_hold

if TYPE_CHECKING:
    from gaugepost.ledger import Claimed, Hold
    from gaugepost.ledger.notices import Notice

SERVER = Streak("server", 5, breaker(), jobs=3, sorts=2, apart=True)
SCOPE = f"configuration:{MAPPING}"
OAUTH = "credentials:oauth"


def notices(bench: Bench) -> list[Notice]:
    """Return the notices that a worker would log."""
    found: list[Notice] = []
    bench.ledger.promote(log=found.append)
    return found


def changes(bench: Bench) -> list[tuple[str, str]]:
    return [(notice.event, notice.hold.scope) for notice in notices(bench) if isinstance(notice, HoldChange)]


def fail(bench: Bench, claimed: Claimed, *, age_ms: int = 500, streak: Streak = SERVER) -> None:
    bench.clock.go(1000)
    bench.settle(claimed, Parked(HOUR_MS, "x"), verdict=Verdict.SERVER_ERROR, streak=streak, age_ms=age_ms)


def region_hold(bench: Bench) -> Hold:
    return bench.ledger.holds()[""]


def test_breaker_keeps_the_failed_requests_that_opened_it(bench: Bench) -> None:
    ids = bench.put(*(record(configuration=f"c{n % 2}") for n in range(4)), link())
    by_id = {claimed.id: claimed for claimed in bench.claim()}
    for job_id in ids:
        fail(bench, by_id[job_id])
    cause = region_hold(bench).cause
    assert cause is not None
    assert (cause.failures, cause.beside, cause.first) == (5, 0, NOON + 1000)
    assert [request.job for request in cause.requests] == ids
    assert [request.at for request in cause.requests] == [NOON + 1000 * n for n in range(1, 6)]
    row = cause.to_dict()
    assert (row["jobs"], row["kinds"]) == (5, ["record", "personal_link"])
    assert row["configurations"] == len({"c0", "c1", by_id[ids[-1]].job.mapping})
    assert sum(row["answers"].values()) == 5


def test_failures_that_one_event_explains_are_counted_apart(bench: Bench) -> None:
    bench.put(*(record(configuration=f"c{n}") for n in range(9)))
    jobs = bench.claim()
    for claimed in jobs[:4]:
        fail(bench, claimed)
    for claimed in jobs[4:8]:
        fail(bench, claimed, age_ms=60_000)
    fail(bench, jobs[8])
    cause = region_hold(bench).cause
    assert cause is not None
    assert (cause.failures, cause.beside, len(cause.requests)) == (5, 4, 5)


def test_cause_of_a_long_streak_keeps_its_last_eight_requests(bench: Bench) -> None:
    [job_id] = bench.put(record())
    fail(bench, bench.claim()[0])
    for _ in range(12):
        bench.ledger.replay([job_id])
        fail(bench, bench.claim()[0])
    bench.put(record(), record())
    for claimed in bench.claim():
        fail(bench, claimed)
    cause = region_hold(bench).cause
    assert cause is not None
    assert (cause.failures, len(cause.requests), cause.first) == (15, 8, NOON + 1000)


def test_streak_started_by_an_older_worker_opens_its_hold(bench: Bench) -> None:
    bench.put(*(record(configuration=f"c{n}") for n in range(2)))
    old = {"n": 3, "known": NOON - 1000, "jobs": ["a", "b", "c"], "sorts": ["record a", "record b"]}
    bench.client.hset(bench.ledger.keys["failures"], "server", json.dumps(old))
    for claimed in bench.claim():
        fail(bench, claimed)
    cause = region_hold(bench).cause
    assert cause is not None
    assert (cause.failures, len(cause.requests)) == (5, 2)


def test_hold_of_an_older_worker_has_no_cause_and_is_shown(bench: Bench) -> None:
    old = {"reason": "throttled", "verdict": "throttled", "by": "gaugepost", "since": NOON, "probe_at": NOON}
    bench.client.hset(bench.ledger.keys["holds"], "endpoints:imports", json.dumps(old))
    [hold] = bench.ledger.holds().values()
    assert (hold.cause, hold.failed_probes, hold.to_dict()["cause"]) == (None, 0, None)


def test_one_refused_request_is_the_cause_of_its_hold(bench: Bench) -> None:
    [job_id] = bench.put(record())
    bench.settle(bench.claim()[0], Held(SCOPE, "x"), verdict=Verdict.UNKNOWN_MAPPING, hold=mapping_hold(MAPPING))
    cause = bench.ledger.holds()[SCOPE].cause
    assert cause is not None
    [request] = cause.requests
    assert (cause.failures, request.job, request.kind, request.configuration) == (1, job_id, "record", MAPPING)
    assert (request.verdict, request.at) == ("unknown_mapping", NOON)


def test_failed_probes_are_counted_on_the_hold(bench: Bench) -> None:
    bench.put(record(), record())
    one, two = bench.claim()
    bench.settle(one, Requeued(), verdict=Verdict.SERVER_ERROR, hold=breaker())
    bench.settle(two, Requeued())
    opened = region_hold(bench).cause
    for n in (1, 2):
        bench.clock.set(region_hold(bench).probe_at or 0)
        [probe] = bench.claim()
        bench.settle(probe, Requeued(), verdict=Verdict.SERVER_ERROR, hold=breaker())
        hold = region_hold(bench)
        assert (hold.failed_probes, hold.cause) == (n, opened)
        assert hold.last_probe is not None
        assert (hold.last_probe.job, hold.last_probe.at) == (probe.id, bench.clock.ms)


def test_hold_of_failed_token_requests_keeps_the_first_and_counts_the_others(bench: Bench) -> None:
    spec = HoldSpec(OAUTH, "token endpoint: HTTP 401", Verdict.REFUSED_CREDENTIALS, (1_000,), label="credentials")
    for _ in range(3):
        assert bench.ledger.token("w1", 36_000).to_fetch
        bench.ledger.put_token_failure("w1", "no answer", spec)
        bench.clock.go(1_000)
    hold = bench.ledger.holds()[OAUTH]
    assert hold.cause is not None
    [request] = hold.cause.requests
    assert (request.endpoint, request.verdict, request.at, request.job) == ("token", "refused_credentials", NOON, None)
    assert hold.failed_probes == 2
    assert changes(bench)[:3] == [("opened", OAUTH), ("moved", OAUTH), ("moved", OAUTH)]


# What a worker logs


def test_each_change_of_a_hold_is_left_for_the_log_once(bench: Bench) -> None:
    bench.put(record(), record())
    one, two = bench.claim()
    bench.settle(one, Requeued(), verdict=Verdict.SERVER_ERROR, hold=breaker())
    bench.settle(two, Requeued())
    assert changes(bench) == [("opened", "")]
    bench.clock.go(15_000)
    bench.settle(bench.claim()[0], Requeued(), verdict=Verdict.SERVER_ERROR, hold=breaker())
    assert changes(bench) == [("moved", "")]
    bench.clock.go(60_000)
    [probe] = bench.claim()
    bench.settle(probe, verdict=Verdict.DELIVERED)
    [lifted] = notices(bench)
    assert isinstance(lifted, HoldChange)
    assert (lifted.event, lifted.hold.failed_probes) == ("lifted", 1)
    assert probe.id in lifted.why
    assert notices(bench) == []


def test_probe_that_is_given_back_unsent_moves_its_hold_silently(bench: Bench) -> None:
    bench.put(record())
    bench.settle(bench.claim()[0], Requeued(), verdict=Verdict.SERVER_ERROR, hold=breaker())
    bench.clock.go(15_000)
    bench.settle(bench.claim()[0], Requeued())
    assert changes(bench) == [("opened", "")]
    assert region_hold(bench).failed_probes == 0


def test_operators_hold_is_reported_for_the_log_with_its_author(bench: Bench) -> None:
    bench.ledger.hold("", "maintenance", "ann")
    bench.ledger.resume("", "joe")
    opened, lifted = notices(bench)
    assert isinstance(opened, HoldChange)
    assert isinstance(lifted, HoldChange)
    assert (opened.event, opened.hold.by, opened.hold.reason) == ("opened", "ann", "maintenance")
    assert (lifted.event, lifted.why) == ("lifted", "resumed by joe")


def test_hold_that_reaches_its_end_is_left_for_the_log(bench: Bench) -> None:
    bench.ledger.hold("", "maintenance", "ann", lasts_ms=1_000)
    bench.ledger.hold(SCOPE, "new mapping", "ann", lasts_ms=1_000)
    bench.clock.go(1_000)
    bench.claim()
    bench.ledger.promote()
    bench.ledger.hold("", "again", "ann")
    bench.ledger.hold(SCOPE, "again", "ann", lasts_ms=1_000)
    bench.clock.go(1_000)
    [lifted] = [notice for notice in notices(bench) if isinstance(notice, HoldChange) and notice.event == "lifted"]
    assert (lifted.hold.scope, lifted.why) == (SCOPE, "its end has come")


def test_job_that_gives_up_on_its_mapping_is_reported_for_the_log(bench: Bench) -> None:
    [job_id] = bench.put(record())
    held = Held(SCOPE, "unknown_mapping", 1_000)
    bench.settle(bench.claim()[0], held, verdict=Verdict.UNKNOWN_MAPPING, hold=mapping_hold(MAPPING))
    notices(bench)
    bench.clock.go(1_000)
    assert Death(job_id, "unknown_mapping", bench.clock.ms, SCOPE) in notices(bench)
    assert bench.state(job_id) == "dead"


def test_job_that_cannot_be_read_is_left_for_the_log(bench: Bench) -> None:
    job_id, other = bench.put(record(), record())
    bench.client.hset(bench.ledger.keys.of("job:", job_id), "job", "{")
    bench.client.hset(bench.ledger.keys.of("job:", other), "fence", "x")
    bench.claim()
    assert {notice.job for notice in notices(bench) if isinstance(notice, Death)} == {job_id, other}
    assert bench.states([job_id, other]) == ["dead", "dead"]


def test_worker_logs_the_deaths_that_it_decides(bench: Bench) -> None:
    bench.put(record())
    bench.settle(bench.claim()[0], Dead(Verdict.INVALID_VALUE), verdict=Verdict.INVALID_VALUE)
    assert notices(bench) == []


@pytest.mark.parametrize("times", [10, 1_200])
def test_notices_that_no_worker_takes_are_bounded(bench: Bench, times: int) -> None:
    for n in range(times):
        bench.ledger.hold("", f"reason {n}", "ann")
    assert bench.client.llen(bench.ledger.keys["notices"]) == min(times, 1_000)


@pytest.mark.parametrize("text", ['{"event": "something new", "at": 1}', "{", "[]", '{"event": "opened"}', "1"])
def test_notice_that_cannot_be_read_is_left_out(bench: Bench, text: str) -> None:
    bench.client.rpush(bench.ledger.keys["notices"], text)
    assert notices(bench) == []
