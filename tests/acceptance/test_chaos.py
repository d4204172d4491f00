"""Run a short `make chaos`: faults come at random, and no job is lost, doubled or out of order.

The first line of a run is its seed. `SEED=… make test TEST=tests/acceptance/test_chaos.py` repeats the run.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from support.chaos import chaos
from support.chaos.hosts import Host
from support.redis_server import running_redis
from support.wait import wait_until

SECONDS = 20
KNOWN = 4


def seed_of(name: str) -> int:
    return KNOWN if name == "known" else int(os.environ.get("SEED") or random.randrange(1, 1_000_000))


@pytest.mark.parametrize("name", ["known", "random"])
def test_nothing_is_lost_doubled_or_out_of_order_while_everything_breaks(
    name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seed = seed_of(name)
    print(f"SEED={seed}")  # noqa: T201 - to run it again
    totals = chaos(tmp_path, seed, seconds=SECONDS, rate=40, regions=("eu", "us"), drain_within=180)
    assert not totals.wrong()
    assert totals.jobs > SECONDS * 20, "the producers did not keep up: little was tried"
    for what, number in totals.done.items():
        record_property(what, number)


@pytest.fixture
def lone_beat(tmp_path: Path) -> Iterator[tuple[Host, redis.Redis]]:
    """One beat on a host with a clock, and the Redis it ticks into."""
    with running_redis(tmp_path) as url, redis.Redis.from_url(url) as client:
        beat = Host(tmp_path, "beat", {"GAUGEPOST_REDIS_URL": url}, "-m", "gaugepost_ops", "beat")
        beat.start()
        yield beat, client
        beat.kill()


@pytest.mark.needs("faketime")
@pytest.mark.parametrize("offset", ["-5h", "+5h"])
def test_beat_keeps_ticking_when_its_clock_is_set(lone_beat: tuple[Host, redis.Redis], offset: str) -> None:
    beat, client = lone_beat

    def ticked() -> bool:
        return client.lpop("gaugepost.eu.ticks") is not None

    wait_until(ticked)
    beat.clock.set(offset)
    for _ in range(5):  # libfaketime reads its file once a second
        client.delete("gaugepost.eu.ticks")
        wait_until(ticked, what=f"a tick after the clock was set {offset}")
