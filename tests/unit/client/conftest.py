"""Both producers, over a real Redis and in memory, for the tests of this folder."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost import AsyncProducer, Producer, Settings
from gaugepost.testing import AsyncMemoryProducer, MemoryProducer
from gaugepost.testing.controls import Controls
from support.both_producers import Asynchronous

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return Settings.load(redis_url=redis_url)


@pytest.fixture
def blocking(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Producer]:
    """Open the blocking producer: where a test is about one in memory, that one, or the one beside it."""
    way = request.getfixturevalue("way") if "producer" in request.fixturenames else ""
    with MemoryProducer() if "memory" in way else Producer(settings) as producer:
        yield producer


@pytest.fixture(params=["blocking", "asyncio", "blocking in memory", "asyncio in memory"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def producer(way: str, blocking: Producer) -> Iterator[Any]:
    if "asyncio" not in way:
        yield blocking
        return
    with asyncio.Runner() as runner:
        made = (
            AsyncMemoryProducer(beside=blocking) if isinstance(blocking, Controls) else AsyncProducer(blocking.settings)
        )
        wrapped = Asynchronous(made, runner.get_loop())
        yield wrapped
        wrapped.run(wrapped.producer.close())
