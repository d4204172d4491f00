"""Check the workers' own ticks: without a beat one worker runs each tick per interval, with a beat none does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from gaugepost.ledger.presence import ABSENT_MS
from gaugepost.ledger.scripts import Call
from support.redis_server import running_redis

if TYPE_CHECKING:
    from pathlib import Path


from support.ledger_harness import Bench

TICKS = {"a": 1.0, "b": 2.0}
NO_BEAT_MS = 5_000


def ask(bench: Bench, up_s: float = 60, pushed: int | str = "", worker: str = "w1") -> list[str]:
    """Return the ticks that this worker has to run."""
    return list(bench.ledger.alive(worker, up_s, pushed, TICKS).ticks)


def beat(bench: Bench, room: int = 8) -> None:
    keys = bench.ledger.keys
    bench.ledger._run(Call("tick", (keys.prefix, keys.tick_queue), [room, "gaugepost.promote"], bool))


@pytest.mark.parametrize("room", [8, 0])
def test_workers_run_no_tick_until_beat_is_silent_for_five_seconds(bench: Bench, room: int) -> None:
    beat(bench, room)
    bench.clock.go(NO_BEAT_MS - 1)
    assert ask(bench) == []
    bench.clock.go(1)
    assert ask(bench) == ["a", "b"]


def test_without_any_beat_a_worker_waits_five_seconds_from_its_own_start(bench: Bench) -> None:
    assert ask(bench, up_s=4.9) == []
    assert ask(bench, up_s=5) == ["a", "b"]


def test_each_tick_runs_once_an_interval_however_many_workers_ask(bench: Bench) -> None:
    runs = []
    for _ in range(100):
        for worker in ("w1", "w2", "w3"):
            runs += ask(bench, worker=worker)
        bench.clock.go(100)
    assert (runs.count("a"), runs.count("b")) == (10, 5)


def test_worker_that_asks_a_little_late_runs_each_tick_every_interval(bench: Bench) -> None:
    runs = []
    for late in (0, 1_030, 2_010, 3_040, 4_005):
        bench.clock.set(1_795_305_600_000 + late)
        runs += ask(bench)
    assert runs.count("a") == 5


def test_worker_that_has_left_is_absent_at_once(bench: Bench) -> None:
    for worker in ("w1", "w2"):
        ask(bench, worker=worker)
        bench.client.hset(bench.ledger.keys["workers"], worker, f"16:{bench.clock.ms + 60_000}")
    bench.ledger.leave("w1")
    bench.ledger.leave("never there")
    seen = dict(bench.client.zrange(bench.ledger.keys["alive"], 0, -1, withscores=True))
    assert seen == {b"w1": bench.clock.ms - ABSENT_MS, b"w2": bench.clock.ms}
    assert bench.client.hkeys(bench.ledger.keys["workers"]) == [b"w2"]


def test_workers_leave_the_ticks_to_a_beat_that_is_back(bench: Bench) -> None:
    assert ask(bench) == ["a", "b"]
    beat(bench)
    for _ in range(10):
        bench.clock.go(1_000)
        beat(bench)
        assert ask(bench) == []


@pytest.mark.parametrize("pushed", ["now", 0])
def test_consumed_tick_shows_an_older_beat_that_records_no_time(bench: Bench, pushed: str | int) -> None:
    assert ask(bench, pushed=pushed or bench.clock.ms) == []
    bench.clock.go(NO_BEAT_MS)
    assert ask(bench) == ["a", "b"]


def test_old_tick_left_in_the_queue_is_no_sign_of_a_beat(bench: Bench) -> None:
    old = bench.clock.ms - NO_BEAT_MS
    assert ask(bench, pushed=old) == ["a", "b"]
    assert bench.ledger.alive("w1", 60, "", TICKS).beat_ago == NO_BEAT_MS / 1000


def test_beat_that_never_ticked_has_no_age(bench: Bench) -> None:
    assert bench.ledger.alive("w1", 60, "", TICKS).beat_ago is None


def test_clock_set_back_stops_neither_own_ticks_nor_beat(bench: Bench) -> None:
    beat(bench)
    bench.clock.go(NO_BEAT_MS)
    assert ask(bench) == ["a", "b"]
    bench.clock.step(-3_600_000)
    assert ask(bench) == ["a", "b"]
    assert ask(bench) == []
    bench.clock.go(1_000)
    assert ask(bench) == ["a"]
    beat(bench)
    bench.clock.go(1_000)
    assert ask(bench) == []


def test_workers_seen_are_noted_and_forgotten_after_an_hour(bench: Bench) -> None:
    ask(bench, worker="gone")
    bench.clock.go(3_600_000)
    ask(bench, worker="w1")
    assert bench.truth().sets["alive"] == {"w1": bench.clock.ms}
    bench.clock.step(-60_000)
    ask(bench, worker="w2")
    assert bench.truth().sets["alive"] == {"w2": bench.clock.ms}


@pytest.mark.starts_process
def test_full_redis_still_gives_workers_their_ticks(tmp_path: Path) -> None:
    with running_redis(tmp_path, "--maxmemory-policy", "noeviction") as url, redis.Redis.from_url(url) as client:
        bench = Bench(client)
        client.config_set("maxmemory", 1)
        assert ask(bench) == ["a", "b"]
        client.config_set("maxmemory", 0)
