"""Fixtures for the tests of services: `pytest_plugins = ["gaugepost_ops.pytest_plugin"]` in conftest.py.

`gaugepost_producer` is in memory and starts no process. The other fixtures are real. Redis and the simulator run as
long as the test session (one of each for every process of pytest-xdist) and are emptied before each test. Workers run
as long as their test. No setting comes from the environment; override `gaugepost_settings` to change one.
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
    """Return settings by their names in Python: `{"backlog_limit": 3}`. Override this fixture to set some."""
    return {}


@pytest.fixture
def gaugepost_producer(gaugepost_settings: Mapping[str, object]) -> MemoryProducer:
    """Return a producer in memory."""
    return MemoryProducer(Settings.given(**gaugepost_settings))


@pytest.fixture
def gaugepost_async_producer(gaugepost_producer: MemoryProducer) -> AsyncMemoryProducer:
    """Return an asyncio producer in memory, with the same jobs as `gaugepost_producer`."""
    return AsyncMemoryProducer(beside=gaugepost_producer)


@pytest.fixture(scope="session")
def gaugepost_redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a Redis server during the test session, and return its URL."""
    folder = tmp_path_factory.mktemp("gaugepost-redis")
    yield embedded_redis.url(folder)
    embedded_redis.leave(folder)


@pytest.fixture
def gaugepost_redis(gaugepost_redis_server: str) -> str:
    """Delete all data of the Redis server, and return its URL."""
    with redis.Redis.from_url(gaugepost_redis_server) as client:
        client.flushall()
    return gaugepost_redis_server


@pytest.fixture(scope="session")
def gaugepost_simulator_server() -> Iterator[Simulator]:
    """Run a CustomerGauge simulator during the test session."""
    from gaugepost_simulator import Simulator  # noqa: PLC0415 - a separate program, which not every test needs

    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def gaugepost_simulator(gaugepost_simulator_server: Simulator) -> Simulator:
    """Reset the simulator (effects, faults, knobs), and return it."""
    gaugepost_simulator_server.reset()
    return gaugepost_simulator_server


@pytest.fixture
def gaugepost_stack(
    tmp_path: Path, gaugepost_redis: str, gaugepost_simulator: Simulator, gaugepost_settings: Mapping[str, object]
) -> Iterator[Parts]:
    """Return all parts, connected to the simulator: `producer`, `settings`, `worker()`, `beat()`, `cli()`, `logs()`.

    The upload lane sends one file per second. If the test fails, pytest shows the logs.
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
    """Return a function that starts a worker: `gaugepost_worker("eu")`. A warm shutdown ends it after the test."""
    return gaugepost_stack.worker
