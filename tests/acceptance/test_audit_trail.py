"""A trail of 1,000,000 entries: its memory is bounded by age, and each page costs one command of Redis."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
import redis
from benchmarks.audit_trail import DAYS, ENTRY, KEY, fill, ledger, step_ms

from gaugepost.ledger.audit import PAGE
from support.redis_server import running_redis

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBER = 1_000_000
BYTES_AN_ENTRY = 200


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    """Fill a trail with the entries of 360 days."""
    with running_redis(tmp_path_factory.mktemp("redis")) as url, redis.Redis.from_url(url, socket_timeout=60) as client:
        fill(client, NUMBER)
        yield client


def calls(client: redis.Redis) -> dict[str, int]:
    """Return how many times Redis ran each command that reads."""
    stats: Any = client.info("commandstats")
    return {name.removeprefix("cmdstat_"): found["calls"] for name, found in stats.items() if name != "cmdstat_info"}


def test_entry_takes_no_more_memory_than_the_page_says(client: redis.Redis) -> None:
    assert client.memory_usage(KEY, samples=0) / NUMBER < BYTES_AN_ENTRY


@pytest.mark.parametrize("depth", [0, 10, NUMBER // 2, NUMBER - 2 * PAGE])
def test_page_costs_one_command_at_any_depth(client: redis.Redis, depth: int) -> None:
    trail = ledger(client).audit
    oldest: Any = client.xrange(KEY, count=1)[0][0]  # type: ignore[index]
    first_ms, step = int(oldest.partition(b"-")[0]), step_ms(NUMBER)
    before = f"{first_ms + (NUMBER - depth) * step}-0"
    client.config_resetstat()
    page = trail.read(before=before)
    assert calls(client) == {"xrevrange": 1, "get": 4, "config|resetstat": 1}, "the names of the keys are four texts"
    assert len(page) == PAGE
    assert [entry.at for entry in page[:2]] == [first_ms + (NUMBER - depth - n) * step for n in (1, 2)]


def test_entries_are_read_in_pages(client: redis.Redis) -> None:
    client.config_resetstat()
    assert sum(1 for _ in islice(ledger(client).audit.entries(), 20 * PAGE)) == 20 * PAGE
    assert calls(client)["xrevrange"] == 20


def test_new_entries_keep_the_trail_at_its_age(client: redis.Redis) -> None:
    trail = ledger(client, retention_audit=30 * 86_400).audit
    for _ in range(NUMBER // 10_000 + 1):  # Redis deletes at most 10,000 entries with each new one
        trail.write(ENTRY)
    kept = trail.size()
    assert kept == pytest.approx(NUMBER * 30 / DAYS, rel=0.01)
    assert client.memory_usage(KEY, samples=0) < kept * 1.2 * BYTES_AN_ENTRY
