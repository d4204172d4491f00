"""Run the ledger over a real Redis and over the store of `gaugepost.testing`, with a clock that the test sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from gaugepost.testing import Memory
from support.ledger_harness import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=[pytest.param("redis", marks=pytest.mark.starts_process), "memory"])
def client(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    """Connect to an empty store: a real Redis, and the store in memory that services test with."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    with redis.Redis.from_url(url) if url else Memory().client as made:
        yield made


@pytest.fixture
def bench(client: redis.Redis) -> Iterator[Bench]:
    """Make a bench for the ledger of `eu`. At the end, check that the store is consistent."""
    made = Bench(client)
    yield made
    assert made.truth().faults == []
