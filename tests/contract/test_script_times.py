"""Check that no script runs longer than 100 ms on a full ledger: a script blocks Redis for all regions.

`benchmarks/script_times.py` runs the same at full size. These tests measure the CPU time of Redis, which does not grow
on a busy machine.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from benchmarks.heavy import Heavy, Sizes
from benchmarks.script_times import LIMIT_MS, Run, Times

from gaugepost import Region
from gaugepost.ledger.scripts import load_scripts
from support.ledger_truth import look
from support.redis_server import running_redis

pytestmark = pytest.mark.starts_process

SIZES = Sizes(
    jobs=20_000,
    sources=2_000,
    lanes=1_000,
    due=5_000,
    holds=3_000,
    leases=1_000,
    expired=2_000,
    delivered=2_000,
    large=20,
)
TINY = Sizes(jobs=40, sources=4, lanes=5, due=6, holds=7, leases=8, expired=9, delivered=10, large=1)
ELSEWHERE = {"enqueue_set", "note_fields", "states", "tick", "unstage"} | {
    "api_key_put", "api_key_drop", "api_keys_read", "api_rate", "api_ready", "front_token_put", "front_token_read"
} | {
    "user_put", "user_drop", "users_read", "session_put", "session_read", "session_drop", "sign_out", "sign_in_try",
    "sign_in_worked", "sign_in_link", "sign_in_link_read",
} | {
    "webhook_put", "webhook_drop", "webhook_secrets",
}  # fmt: skip
"""Scripts that use only their arguments, or a few keys of the gateway: they cost the same on any ledger."""


def test_the_heavy_ledger_fits_together(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        Heavy(client, Region.EU).fill(TINY)
        truth = look(client)
    assert truth.faults == []
    states = {job["state"] for job in truth.jobs.values()}
    assert states == {"queued", "waiting", "parked", "sending", "delivered"}


@pytest.fixture(scope="module")
def times(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Times]:
    folder: Path = tmp_path_factory.mktemp("redis")
    with running_redis(folder) as url, redis.Redis.from_url(url, socket_timeout=60) as client:
        run = Run(client, SIZES)
        run.fill(client)
        return run.times()


@pytest.mark.parametrize("script", sorted(load_scripts().keys() - ELSEWHERE))
def test_script_is_short_over_a_heavy_ledger(times: dict[str, Times], script: str) -> None:
    assert 0 < times[script].cpu_ms < LIMIT_MS
