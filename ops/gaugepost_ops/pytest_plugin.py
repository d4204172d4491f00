"""Fixtures for services' own tests: `pytest_plugins = ["gaugepost_ops.pytest_plugin"]` in conftest.py.

`gaugepost_producer` needs nothing but this process. The others are real: Redis and the simulator live as long as the
test run (one of each for every process of pytest-xdist) and are empty at the start of each test; workers live as long
as their test. No setting comes from the environment: `gaugepost_settings` gives them, and may be overridden.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
import redis

from gaugepost.settings import PREFIX, Settings
from gaugepost.testing import AsyncMemoryProducer, MemoryProducer, Parts
from gaugepost_ops import embedded_redis

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from gaugepost_simulator import Simulator


@pytest.fixture
def gaugepost_settings() -> Mapping[str, object]:
    """Give settings by their names in Python, `{"backlog_limit": 3}`: to be overridden."""
    return {}


@pytest.fixture
def gaugepost_producer(gaugepost_settings: Mapping[str, object]) -> MemoryProducer:
    """Give a producer in memory."""
    return MemoryProducer(Settings.given(**gaugepost_settings))


@pytest.fixture
def gaugepost_async_producer(gaugepost_producer: MemoryProducer) -> AsyncMemoryProducer:
    """Give an asyncio producer in memory, with the same jobs as `gaugepost_producer`."""
    return AsyncMemoryProducer(beside=gaugepost_producer)


@pytest.fixture(scope="session")
def gaugepost_redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a Redis server as long as the tests run; give its URL."""
    folder = tmp_path_factory.mktemp("gaugepost-redis")
    yield embedded_redis.url(folder)
    embedded_redis.leave(folder)


@pytest.fixture
def gaugepost_redis(gaugepost_redis_server: str) -> str:
    """Give the URL of that server, emptied."""
    with redis.Redis.from_url(gaugepost_redis_server) as client:
        client.flushall()
    return gaugepost_redis_server


@pytest.fixture(scope="session")
def gaugepost_simulator_server() -> Iterator[Simulator]:
    """Run a CustomerGauge simulator as long as the tests run."""
    from gaugepost_simulator import Simulator  # noqa: PLC0415 - a program of its own, which not every test needs

    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def gaugepost_simulator(gaugepost_simulator_server: Simulator) -> Simulator:
    """Give that simulator, with nothing in it: no effects, faults, changed knobs."""
    gaugepost_simulator_server.reset()
    return gaugepost_simulator_server


@pytest.fixture
def gaugepost_stack(
    tmp_path: Path, gaugepost_redis: str, gaugepost_simulator: Simulator, gaugepost_settings: Mapping[str, object]
) -> Iterator[Parts]:
    """Give the real way to the simulator: `producer`, `settings`, `worker()`, `beat()`, `cli()`, `logs()`.

    Files go out one a second. A test that fails shows the logs.
    """
    folder = tmp_path / "gaugepost"
    folder.mkdir()
    quick: dict[str, object] = {"redis_url": gaugepost_redis, "upload_interval": 1, "upload_poll": "0.5s"}
    own = {f"{PREFIX}{name.upper()}": str(value) for name, value in (quick | dict(gaugepost_settings)).items()}
    with Parts(folder, gaugepost_simulator.env() | own) as parts:
        yield parts
    sys.stdout.write(parts.logs())


@pytest.fixture
def gaugepost_worker(gaugepost_stack: Parts) -> Callable[..., subprocess.Popen[bytes]]:
    """Start workers: `gaugepost_worker("eu")`. They end warmly with the test."""
    return gaugepost_stack.worker
