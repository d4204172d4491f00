"""Let 200 workers need a token at one moment: CustomerGauge gets one request.

Four processes have fifty holders each. Every holder has its own lock and memory, as a worker process has, so they share
only Redis. The token endpoint is slow, so that the whole herd asks before the answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import herd
from support.stack import Stack
from support.wait import wait_until

PROCESSES, HOLDERS = 4, 50
ALL = PROCESSES * HOLDERS
SLOW_MS = 400
LIFE_S = 10


class Crowd:
    """Controls the herd from the test."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._redis = stack.redis.client()
        self._rounds = itertools.count(1)
        for _ in range(PROCESSES):
            stack.run(herd.__file__, str(HOLDERS))
        wait_until(lambda: int(self._redis.get("herd:ready") or 0) == PROCESSES, what="the herd is ready")

    def all_ask(self, what: str = "get") -> set[str]:
        """Let all holders ask at once; return the set of their results."""
        n = next(self._rounds)
        self._redis.set("herd:go", f"{n}:{what}")
        wait_until(lambda: self._redis.llen(f"herd:{n}") == ALL, what="each of the herd has its answer")
        return {got.decode() for got in self._redis.lrange(f"herd:{n}", 0, -1)}

    def fetches(self) -> int:
        return int(self._stack.sim.state()["token_requests"]["eu"])

    def wait_until_the_token_has_ended(self) -> None:
        def ended() -> bool:
            seconds, micros = self._redis.time()
            return int(self._redis.hget("gaugepost:{eu}:token", "expires")) < seconds * 1000 + micros // 1000

        wait_until(ended, what="the token has ended")


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    with Stack(tmp_path) as stack:
        stack.sim.knobs(latency_ms={"token": SLOW_MS})
        yield Crowd(stack)


def test_200_workers_without_a_token_fetch_one(crowd: Crowd) -> None:
    assert crowd.all_ask() == {"1"}
    assert crowd.fetches() == 1


def test_200_workers_whose_token_has_just_expired_fetch_one(crowd: Crowd) -> None:
    crowd._stack.sim.knobs(token_lifetime=LIFE_S)
    crowd.all_ask()
    before = crowd.fetches()
    crowd.wait_until_the_token_has_ended()
    assert crowd.all_ask() == {str(before + 1)}
    assert crowd.fetches() == before + 1


def test_200_workers_whose_token_was_refused_at_one_moment_fetch_one(crowd: Crowd) -> None:
    crowd.all_ask()
    for n in (2, 3):
        crowd._stack.sim.revoke("eu")
        assert crowd.all_ask("refused") == {str(n)}
        assert crowd.fetches() == n


def test_200_workers_before_a_token_endpoint_that_takes_seconds_fetch_one(crowd: Crowd) -> None:
    crowd._stack.sim.knobs(latency_ms={"token": 5_000})
    assert crowd.all_ask() == {"1"}
    assert crowd.fetches() == 1


def test_200_workers_share_one_token_failure_and_one_retry(crowd: Crowd) -> None:
    crowd._stack.sim.knobs(latency_ms={"token": 2_000})  # a failure is remembered for a second: all must ask before it
    crowd._stack.sim.fault("status", endpoint="token", code=500, times=1)
    answers = crowd.all_ask()
    asked = crowd.fetches()
    assert answers == {"server_error"}
    assert asked == 1
    wait_until(lambda: crowd.all_ask() == {"1"}, what="the failure is forgotten")
    assert crowd.fetches() == 2
