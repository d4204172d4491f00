"""No worker, no beat: every command says so, since when, and which command starts what is missing."""

from __future__ import annotations

import math
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost import Region
from gaugepost.keys import Keys
from gaugepost.ledger import Settlement
from gaugepost.transitions import Decision, Held, HoldSpec, Parked
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from conftest import Cli, EuWorker
    from support.stack import RedisServer

KEYS = Keys(Region.EU)
NEVER = "no worker of eu has been seen (never)"
START = "gaugepost worker --region eu"


@pytest.fixture
def store(redis_url: str, redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis_server.client() as client:
        yield client


def now_ms() -> int:
    return int(time.time() * 1000)


def clock(ms: int) -> str:
    """Format a time as the commands do."""
    moment = datetime.fromtimestamp(ms / 1000).astimezone()
    return moment.strftime("%H:%M" if moment.date() == datetime.now().astimezone().date() else "%d %b %H:%M")


def see_worker(store: redis.Redis, seconds_ago: float, name: str = "w1") -> int:
    seen = now_ms() - int(seconds_ago * 1000)
    store.zadd(KEYS["alive"], {name: seen})
    return seen


def park_late(store: redis.Redis, eu_worker: EuWorker, seconds: float = 60) -> tuple[str, int]:
    """Park a job that was due so many seconds ago, and forget the worker. Return its id and when it was due (ms)."""
    eu_worker.put()
    job = eu_worker.settle(Parked(1, "server_error"), Verdict.SERVER_ERROR)
    store.delete(KEYS["workers"])
    due = now_ms() - int(seconds * 1000)
    store.hset(KEYS.of("job:", job), "until", due)
    store.zadd(KEYS["parked"], {job: due})
    return job, due


def test_queued_job_says_that_no_worker_ever_ran(cli: Cli, eu_worker: EuWorker) -> None:
    job = eu_worker.put()
    [row] = cli("job", job, "--json").rows
    assert (row["state"], row["reason"], row["until"]) == ("queued", NEVER, None)
    printed = cli("job", job)
    assert f"queued: {NEVER}\n" in printed.out
    assert printed.err == f"{NEVER}; start one: {START}\n"


def test_queued_job_says_since_when_no_worker_is_there(cli: Cli, eu_worker: EuWorker, store: redis.Redis) -> None:
    job = eu_worker.put()
    see_worker(store, 7200, "older")
    seen = see_worker(store, 3600)
    [row] = cli("job", job, "--json").rows
    assert row["reason"] == f"no worker of eu has been seen since {clock(seen)}"


def test_queued_job_has_no_reason_while_a_worker_is_there(cli: Cli, eu_worker: EuWorker, store: redis.Redis) -> None:
    job = eu_worker.put()
    see_worker(store, 20)
    printed = cli("job", job)
    assert cli("job", job, "--json").rows[0]["reason"] is None
    assert "no worker" not in printed.out + printed.err


def test_worker_of_an_older_version_that_claimed_lately_is_there(
    cli: Cli, eu_worker: EuWorker, store: redis.Redis
) -> None:
    job = eu_worker.put()
    store.hset(KEYS["workers"], "old", f"16:{now_ms() + 60_000}")
    assert cli("job", job, "--json").rows[0]["reason"] is None
    assert cli("status", "--json").rows[0]["workers"] == 1
    store.hset(KEYS["workers"], "old", f"16:{now_ms() - 1}")
    assert cli("job", job, "--json").rows[0]["reason"] == NEVER


def test_worker_that_died_is_not_taken_for_one_of_an_older_version(
    cli: Cli, eu_worker: EuWorker, store: redis.Redis
) -> None:
    job = eu_worker.put()
    store.hset(KEYS["workers"], "w1", f"16:{now_ms() + 60_000}")
    seen = see_worker(store, 60)
    assert cli("job", job, "--json").rows[0]["reason"] == f"no worker of eu has been seen since {clock(seen)}"
    assert cli("status", "--json").rows[0]["workers"] == 0


def test_jobs_says_why_jobs_wait_and_what_to_start(cli: Cli, eu_worker: EuWorker) -> None:
    eu_worker.put()
    printed = cli("jobs")
    assert f"queued: {NEVER} (" not in printed.out
    assert f"queued: {NEVER}\n" in printed.out
    assert printed.err == f"{NEVER}; start one: {START}\n"
    assert [row["reason"] for row in cli("jobs", "--json").rows] == [NEVER]


def test_groups_include_queued_jobs_without_a_worker(cli: Cli, eu_worker: EuWorker, store: redis.Redis) -> None:
    for _ in range(3):
        eu_worker.put()
    [row] = cli("jobs", "--group", "--json").rows
    assert (row["state"], row["count"], row["reason"], row["command"]) == ("queued", 3, NEVER, START)
    lines = [line.strip() for line in cli("jobs", "--group").out.splitlines()]
    assert lines[0] == f"3  eu  record  queued: {NEVER}"
    assert lines[-1] == START
    see_worker(store, 1)
    assert cli("jobs", "--group", "--json").rows == [], "no worker of us and au is no fault of jobs of eu"


def test_groups_have_queued_jobs_of_a_region_that_is_held(cli: Cli, eu_worker: EuWorker, store: redis.Redis) -> None:
    see_worker(store, 1)
    for _ in range(3):
        eu_worker.put()
    assert cli("hold", "eu", "--reason", "upgrade").code == 0
    [row] = cli("jobs", "--group", "--json").rows
    assert (row["state"], row["count"], row["command"]) == ("queued", 3, "gaugepost resume eu")
    assert "upgrade" in row["reason"]


def test_late_parked_job_says_why_and_shows_no_past_time(cli: Cli, eu_worker: EuWorker, store: redis.Redis) -> None:
    job, due = park_late(store, eu_worker)
    [row] = cli("job", job, "--json").rows
    assert (row["reason"], row["until"]) == (f"server_error; due since {clock(due)}, and {NEVER}", None)
    printed = cli("job", job)
    assert f"parked: server_error; due since {clock(due)}, and {NEVER}\n" in printed.out
    assert START in printed.err
    [group] = cli("jobs", "--group", "--json").rows
    assert (group["reason"], group["command"]) == (f"server_error; {NEVER}", START)
    see_worker(store, 1)
    [row] = cli("jobs", "--json").rows
    assert (row["reason"], row["until"]) == (f"server_error; due since {clock(due)}, being released", None)


def test_parked_job_that_is_due_in_a_moment_keeps_its_time(cli: Cli, eu_worker: EuWorker, store: redis.Redis) -> None:
    job, _ = park_late(store, eu_worker, seconds=-300)
    [row] = cli("job", job, "--json").rows
    assert row["reason"] == "server_error"
    assert datetime.fromisoformat(row["until"]) > datetime.now().astimezone()


def test_held_job_is_late_only_without_a_worker_for_the_probe(
    cli: Cli, eu_worker: EuWorker, store: redis.Redis
) -> None:
    eu_worker.put(configuration="gone")
    spec = HoldSpec("configuration:gone", "unknown_mapping", Verdict.UNKNOWN_MAPPING, (1,))
    [claimed] = eu_worker.ledger.claim("w1", "turn", 1).jobs
    eu_worker.ledger.settle([Settlement(claimed, Decision(Held(spec.scope, "unknown_mapping"), hold=spec))])
    store.delete(KEYS["workers"])
    hold: Any = store.hget(KEYS["holds"], spec.scope)
    store.hset(KEYS["holds"], spec.scope, hold.replace(b'"probe_at":', b'"probe_at":1,"was":'))
    [row] = cli("job", claimed.id, "--json").rows
    assert row["reason"].endswith(f", and {NEVER}")
    see_worker(store, 1)
    assert cli("job", claimed.id, "--json").rows[0]["reason"] == "unknown_mapping"


def see_all_parts(store: redis.Redis) -> None:
    """Make two workers of each region and beat look as if they ran now."""
    for region in Region:
        for worker in ("w1", "w2"):
            store.zadd(Keys(region)["alive"], {worker: now_ms()})
        store.hset(Keys(region)["pace"], "beat_sent", now_ms())


def test_status_shows_workers_and_beat(cli: Cli, eu_worker: EuWorker, store: redis.Redis) -> None:
    eu_worker.put()
    rows = {row["region"]: row for row in cli("status", "--json").rows}
    assert (rows["eu"]["workers"], rows["eu"]["beat_age_s"]) == (0, None)
    assert rows["eu"]["oldest_queued_s"] >= 0
    assert rows["us"]["oldest_queued_s"] is None
    assert rows["eu"]["missing"] == [
        {"part": "worker", "reason": NEVER, "command": START},
        {"part": "beat", "reason": "no beat has ticked (never)", "command": "gaugepost beat"},
    ]
    printed = cli("status").out
    assert f"  eu  {NEVER}: {START}\n" in printed
    assert "  eu, us, au  no beat has ticked (never): gaugepost beat\n" in printed
    see_all_parts(store)
    rows = {row["region"]: row for row in cli("status", "--json").rows}
    assert (rows["eu"]["workers"], rows["eu"]["missing"]) == (2, [])
    assert rows["eu"]["beat_age_s"] < 5
    see_all_parts(store)  # on a busy machine the call before takes longer than a beat may be silent
    assert "missing" not in cli("status").out


def test_beat_of_before_the_clock_was_set_back_is_no_beat(cli: Cli, eu_worker: EuWorker, store: redis.Redis) -> None:
    store.hset(KEYS["pace"], "beat_sent", now_ms() + 3_600_000)
    assert cli("status", "--json").rows[0]["beat_age_s"] is None
    assert eu_worker.ledger.statistics().beat_ago == math.inf


def test_status_reports_workers_that_run_without_beat(cli: Cli, store: redis.Redis) -> None:
    ticked = now_ms() - 60_000
    store.hset(KEYS["pace"], "beat_sent", ticked)
    see_worker(store, 1)
    row = cli("status", "--json").rows[0]
    assert 59 < row["beat_age_s"] < 90
    reason = f"no beat has ticked since {clock(ticked)}; workers run the ticks themselves"
    assert row["missing"] == [{"part": "beat", "reason": reason, "command": "gaugepost beat"}]
    assert f"  eu  {reason}: gaugepost beat\n" in cli("status").out


def test_holds_report_a_missing_worker(cli: Cli, eu_worker: EuWorker) -> None:
    printed = cli("holds", "--json")
    assert f"{NEVER}; start one: {START}\n" in printed.err
    eu_worker.ledger.hold("", "maintenance", "ops")
    assert cli("holds", "--json").rows[0]["workers"] == 0
    assert START in cli("holds").err


def test_health_of_a_region_reports_a_missing_worker(cli: Cli, eu_worker: EuWorker, store: redis.Redis) -> None:
    printed = cli("health", "region", "eu")
    assert (printed.code, printed.out) == (0, f"region eu: well: no urgent job waits; {NEVER}; start one: {START}\n")
    eu_worker.put(urgent=True)
    printed = cli("health", "region", "eu", "--max-age", "0s")
    assert printed.code == 1
    assert printed.out.endswith(f"; {NEVER}; start one: {START}\n")
    assert NEVER in cli("health", "region", "eu", "--json").rows[0]["why"]
    see_worker(store, 1)
    assert "no worker" not in cli("health", "region", "eu").out
