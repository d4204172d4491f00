"""The ledger over a real Redis and over fakeredis, by a clock that the test sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fakeredis
import pytest
import redis

from support.bench import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["redis", "fakeredis"])
def client(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    """Connect to an empty store: a real one, and the fake one that services test with."""
    if request.param == "redis":
        made = redis.Redis.from_url(request.getfixturevalue("redis_url"))
    else:
        made = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    with made:
        yield made


@pytest.fixture
def bench(client: redis.Redis) -> Iterator[Bench]:
    """Put the ledger of `eu` on a bench; at the end everything in the store must fit together."""
    made = Bench(client)
    yield made
    assert made.truth().faults == []
