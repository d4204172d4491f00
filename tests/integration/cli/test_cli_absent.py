"""No worker and no beat: every screen says so, since when, and how to start what is missing."""

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

    from conftest import Cli, Hands
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
    """Write a time as the screens do."""
    moment = datetime.fromtimestamp(ms / 1000).astimezone()
    return moment.strftime("%H:%M" if moment.date() == datetime.now().astimezone().date() else "%d %b %H:%M")


def see_worker(store: redis.Redis, seconds_ago: float, name: str = "w1") -> int:
    seen = now_ms() - int(seconds_ago * 1000)
    store.zadd(KEYS["alive"], {name: seen})
    return seen


def park_late(store: redis.Redis, hands: Hands, seconds: float = 60) -> tuple[str, int]:
    """Park a job that should have gone on so long ago, and let the worker go; return its id and when it was due."""
    hands.put()
    job = hands.settle(Parked(1, "server_error"), Verdict.SERVER_ERROR)
    store.delete(KEYS["workers"])
    due = now_ms() - int(seconds * 1000)
    store.hset(KEYS.of("job:", job), "until", due)
    store.zadd(KEYS["parked"], {job: due})
    return job, due


def test_queued_job_says_that_no_worker_was_ever_there(cli: Cli, hands: Hands) -> None:
    job = hands.put()
    [row] = cli("job", job, "--json").rows
    assert (row["state"], row["reason"], row["until"]) == ("queued", NEVER, None)
    told = cli("job", job)
    assert f"queued: {NEVER}\n" in told.out
    assert told.err == f"{NEVER}; start one: {START}\n"


def test_queued_job_says_since_when_no_worker_is_there(cli: Cli, hands: Hands, store: redis.Redis) -> None:
    job = hands.put()
    see_worker(store, 7200, "older")
    seen = see_worker(store, 3600)
    [row] = cli("job", job, "--json").rows
    assert row["reason"] == f"no worker of eu has been seen since {clock(seen)}"


def test_queued_job_has_no_reason_while_a_worker_is_there(cli: Cli, hands: Hands, store: redis.Redis) -> None:
    job = hands.put()
    see_worker(store, 20)
    told = cli("job", job)
    assert cli("job", job, "--json").rows[0]["reason"] is None
    assert "no worker" not in told.out + told.err


def test_worker_of_an_older_version_that_claimed_lately_is_there(cli: Cli, hands: Hands, store: redis.Redis) -> None:
    job = hands.put()
    store.hset(KEYS["workers"], "old", f"16:{now_ms() + 60_000}")
    assert cli("job", job, "--json").rows[0]["reason"] is None
    assert cli("status", "--json").rows[0]["workers"] == 1
    store.hset(KEYS["workers"], "old", f"16:{now_ms() - 1}")
    assert cli("job", job, "--json").rows[0]["reason"] == NEVER


def test_worker_that_died_is_not_taken_for_one_of_an_older_version(cli: Cli, hands: Hands, store: redis.Redis) -> None:
    job = hands.put()
    store.hset(KEYS["workers"], "w1", f"16:{now_ms() + 60_000}")
    seen = see_worker(store, 60)
    assert cli("job", job, "--json").rows[0]["reason"] == f"no worker of eu has been seen since {clock(seen)}"
    assert cli("status", "--json").rows[0]["workers"] == 0


def test_jobs_lists_why_nothing_goes_and_what_to_start(cli: Cli, hands: Hands) -> None:
    hands.put()
    told = cli("jobs")
    assert f"queued: {NEVER} (" not in told.out
    assert f"queued: {NEVER}\n" in told.out
    assert told.err == f"{NEVER}; start one: {START}\n"
    assert [row["reason"] for row in cli("jobs", "--json").rows] == [NEVER]


def test_groups_have_queued_jobs_that_no_worker_takes(cli: Cli, hands: Hands, store: redis.Redis) -> None:
    for _ in range(3):
        hands.put()
    [row] = cli("jobs", "--group", "--json").rows
    assert (row["state"], row["count"], row["reason"], row["command"]) == ("queued", 3, NEVER, START)
    lines = [line.strip() for line in cli("jobs", "--group").out.splitlines()]
    assert lines[0] == f"3  eu  record  queued: {NEVER}"
    assert lines[-1] == START
    see_worker(store, 1)
    assert cli("jobs", "--group", "--json").rows == [], "no worker of us and au is no fault of jobs of eu"


def test_groups_have_queued_jobs_of_a_region_that_is_held(cli: Cli, hands: Hands, store: redis.Redis) -> None:
    see_worker(store, 1)
    for _ in range(3):
        hands.put()
    assert cli("hold", "eu", "--reason", "upgrade").code == 0
    [row] = cli("jobs", "--group", "--json").rows
    assert (row["state"], row["count"], row["command"]) == ("queued", 3, "gaugepost resume eu")
    assert "upgrade" in row["reason"]


def test_parked_job_that_is_late_says_why_and_shows_no_time_that_is_past(
    cli: Cli, hands: Hands, store: redis.Redis
) -> None:
    job, due = park_late(store, hands)
    [row] = cli("job", job, "--json").rows
    assert (row["reason"], row["until"]) == (f"server_error; due since {clock(due)}, and {NEVER}", None)
    told = cli("job", job)
    assert f"parked: server_error; due since {clock(due)}, and {NEVER}\n" in told.out
    assert START in told.err
    [group] = cli("jobs", "--group", "--json").rows
    assert (group["reason"], group["command"]) == (f"server_error; {NEVER}", START)
    see_worker(store, 1)
    [row] = cli("jobs", "--json").rows
    assert (row["reason"], row["until"]) == (f"server_error; due since {clock(due)}, being released", None)


def test_parked_job_that_is_due_in_a_moment_keeps_its_time(cli: Cli, hands: Hands, store: redis.Redis) -> None:
    job, _ = park_late(store, hands, seconds=-300)
    [row] = cli("job", job, "--json").rows
    assert row["reason"] == "server_error"
    assert datetime.fromisoformat(row["until"]) > datetime.now().astimezone()


def test_held_job_is_late_only_if_no_worker_is_there_to_send_the_probe(
    cli: Cli, hands: Hands, store: redis.Redis
) -> None:
    hands.put(configuration="gone")
    spec = HoldSpec("configuration:gone", "unknown_mapping", Verdict.UNKNOWN_MAPPING, (1,))
    [claimed] = hands.ledger.claim("w1", "turn", 1).jobs
    hands.ledger.settle([Settlement(claimed, Decision(Held(spec.scope, "unknown_mapping"), hold=spec))])
    store.delete(KEYS["workers"])
    hold: Any = store.hget(KEYS["holds"], spec.scope)
    store.hset(KEYS["holds"], spec.scope, hold.replace(b'"probe_at":', b'"probe_at":1,"was":'))
    [row] = cli("job", claimed.id, "--json").rows
    assert row["reason"].endswith(f", and {NEVER}")
    see_worker(store, 1)
    assert cli("job", claimed.id, "--json").rows[0]["reason"] == "unknown_mapping"


def test_status_shows_who_is_there(cli: Cli, hands: Hands, store: redis.Redis) -> None:
    hands.put()
    rows = {row["region"]: row for row in cli("status", "--json").rows}
    assert (rows["eu"]["workers"], rows["eu"]["beat_age_s"]) == (0, None)
    assert rows["eu"]["oldest_queued_s"] >= 0
    assert rows["us"]["oldest_queued_s"] is None
    assert rows["eu"]["missing"] == [
        {"part": "worker", "reason": NEVER, "command": START},
        {"part": "beat", "reason": "no beat has ticked (never)", "command": "gaugepost beat"},
    ]
    told = cli("status").out
    assert f"  eu  {NEVER}: {START}\n" in told
    assert "  eu, us, au  no beat has ticked (never): gaugepost beat\n" in told
    for region in Region:
        for worker in ("w1", "w2"):
            store.zadd(Keys(region)["alive"], {worker: now_ms()})
        store.hset(Keys(region)["pace"], "beat_sent", now_ms())
    rows = {row["region"]: row for row in cli("status", "--json").rows}
    assert (rows["eu"]["workers"], rows["eu"]["missing"]) == (2, [])
    assert rows["eu"]["beat_age_s"] < 5
    assert "missing" not in cli("status").out


def test_beat_of_before_the_clock_was_set_back_is_no_beat(cli: Cli, hands: Hands, store: redis.Redis) -> None:
    store.hset(KEYS["pace"], "beat_sent", now_ms() + 3_600_000)
    assert cli("status", "--json").rows[0]["beat_age_s"] is None
    assert hands.ledger.vitals().beat_ago == math.inf


def test_status_reports_workers_that_run_without_beat(cli: Cli, store: redis.Redis) -> None:
    ticked = now_ms() - 60_000
    store.hset(KEYS["pace"], "beat_sent", ticked)
    see_worker(store, 1)
    row = cli("status", "--json").rows[0]
    assert 59 < row["beat_age_s"] < 90
    reason = f"no beat has ticked since {clock(ticked)}; workers run the ticks themselves"
    assert row["missing"] == [{"part": "beat", "reason": reason, "command": "gaugepost beat"}]
    assert f"  eu  {reason}: gaugepost beat\n" in cli("status").out


def test_holds_say_that_no_worker_is_there(cli: Cli, hands: Hands) -> None:
    told = cli("holds", "--json")
    assert f"{NEVER}; start one: {START}\n" in told.err
    hands.ledger.hold("", "maintenance", "ops")
    assert cli("holds", "--json").rows[0]["workers"] == 0
    assert START in cli("holds").err


def test_health_of_a_region_says_that_no_worker_is_there(cli: Cli, hands: Hands, store: redis.Redis) -> None:
    told = cli("health", "region", "eu")
    assert (told.code, told.out) == (0, f"region eu: well: no urgent job waits; {NEVER}; start one: {START}\n")
    hands.put(urgent=True)
    told = cli("health", "region", "eu", "--max-age", "0s")
    assert told.code == 1
    assert told.out.endswith(f"; {NEVER}; start one: {START}\n")
    assert NEVER in cli("health", "region", "eu", "--json").rows[0]["why"]
    see_worker(store, 1)
    assert "no worker" not in cli("health", "region", "eu").out
