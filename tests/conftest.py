"""Give all tests a Redis server of their own, and an environment without settings."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
import redis

from support.processes import pytest_collection_modifyitems, pytest_runtest_protocol  # noqa: F401 - hooks
from support.programs import (  # noqa: F401 - hooks
    pytest_configure,
    pytest_runtest_makereport,
    pytest_runtest_setup,
    pytest_unconfigure,
)
from support.redis_server import running_redis

if TYPE_CHECKING:
    from collections.abc import Iterator

# A shell starts what it puts into the background with SIGINT ignored, and so would all processes of these tests be.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline for an example: on a busy machine a slow one is no failure.
hypothesis.settings.register_profile("ordinary", deadline=None)
# Pydantic looks for plugins in the metadata of all installed packages: 25 ms of CPU in each of some 2,000 processes.
os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"

hypothesis.settings.register_profile("deep", max_examples=1000, stateful_step_count=80, deadline=None)
hypothesis.settings.load_profile("ordinary")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a Redis server that runs as long as the test run."""
    with running_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """Empty that server, and return its URL."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Remove every setting from the environment, and change to an empty folder."""
    for name in list(os.environ):
        if name.upper().startswith("GAUGEPOST_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path
