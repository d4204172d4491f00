"""Check when jobs expire, and when ended jobs are deleted."""

from __future__ import annotations

from datetime import UTC, datetime

import redis

from gaugepost.transitions import Dead, Held, Parked, Requeued, Unknown
from gaugepost.verdict import Verdict
from support.factories import MAPPING, case, record, upload
from support.ledger_harness import HOUR_MS, NOON, Bench, mapping_hold

SCOPE = f"configuration:{MAPPING}"
DAY_MS = 24 * HOUR_MS


def soon(ms: int) -> datetime:
    return datetime.fromtimestamp((NOON + ms) / 1000, UTC)


def test_jobs_expire_where_they_wait(bench: Bench) -> None:
    when = soon(HOUR_MS)
    queued, _, waiting, file_id = bench.put(
        record(expires_at=when), case(), case(expires_at=when), upload(expires_at=when)
    )
    parked, sent = bench.put(record(expires_at=when), record(expires_at=when))
    jobs = {claimed.id: claimed for claimed in bench.claim()}
    bench.settle(jobs[queued], Requeued())
    bench.settle(jobs[file_id], Requeued())
    bench.settle(jobs[parked], Parked(DAY_MS, "x"))
    bench.clock.go(HOUR_MS)
    bench.ledger.promote()
    assert bench.states([queued, waiting, file_id, parked]) == ["expired"] * 4
    assert bench.state(sent) == "sending"
    bench.settle(jobs[sent], Parked(DAY_MS, "x"))
    bench.tick(60_000)
    assert bench.state(sent) == "expired"
    assert "deadlines" not in bench.truth().sets


def test_job_with_a_pending_give_up_still_expires_on_time(bench: Bench) -> None:
    [job_id] = bench.put(record(expires_at=soon(10_000)))
    bench.settle(bench.claim()[0], Held(SCOPE, "x", 9000), hold=mapping_hold(MAPPING))
    bench.ledger.hold(SCOPE, "x", "ops")
    bench.tick(9500)
    assert bench.state(job_id) == "parked"
    bench.tick(500)
    assert bench.state(job_id) == "expired"


def test_ended_jobs_are_forgotten_after_their_retention_and_the_counts_stay_true(client: redis.Redis) -> None:
    bench = Bench(client, retention_delivered="7d", retention_dead="90d")
    delivered, dead, unknown, cancelled, expired, dead_file = bench.put(
        record(), record(), record(), record(), record(expires_at=soon(1)), upload()
    )
    bench.ledger.cancel([cancelled])
    bench.clock.go(1)
    jobs = {claimed.id: claimed for claimed in bench.claim()}
    bench.settle(jobs[delivered])
    bench.settle(jobs[dead], Dead(Verdict.DUPLICATE))
    bench.settle(jobs[unknown], Unknown("x"))
    bench.settle(jobs[dead_file], Dead(Verdict.BAD_FILE))
    bench.clock.go(7 * DAY_MS - 1)
    assert bench.ledger.sweep() == 1
    bench.clock.go(1)
    assert bench.ledger.sweep() == 2
    bench.clock.go(83 * DAY_MS)
    assert bench.ledger.sweep() == 2
    everything = [delivered, dead, unknown, cancelled, expired, dead_file]
    assert bench.states(everything) == [None, None, "unknown", None, None, None]
    assert bench.ledger.file_sets.content(dead_file) is None
    assert bench.truth().faults == []
    assert bench.truth().hashes["counts"] == {"unknown": "1"}


def test_one_sweep_keeps_up_with_more_than_one_scripts_worth(client: redis.Redis) -> None:
    bench = Bench(client)
    for _ in range(12):
        bench.ledger.cancel(bench.put(*(record() for _ in range(100))))
    bench.clock.go(7 * DAY_MS)
    assert bench.ledger.sweep() == 1200
    assert bench.truth().jobs == {}
