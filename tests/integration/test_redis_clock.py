"""Set the clock of Redis while workers send: live workers keep their jobs, and those of a dead one return soon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.chaos.hosts import Clock
from support.factories import record, response
from support.redis_server import RedisServer
from support.stack import Stack, kill
from support.wait import wait_until

pytestmark = pytest.mark.needs("faketime")

SENT = 16


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path, "redis")


@pytest.fixture
def stack(tmp_path: Path, clock: Clock, lease_s: int) -> Iterator[Stack]:
    short = {"connect_timeout": 1, "read_timeout": lease_s / 2, "lease": lease_s}
    with Stack(tmp_path, redis=RedisServer(tmp_path, env=clock.env()), **short) as stack:
        stack.beat()
        yield stack


def set_clock(stack: Stack, clock: Clock, seconds: int) -> None:
    """Set the clock, and wait until Redis uses it: libfaketime reads its file once a second."""
    with stack.redis.client() as client:
        before = client.time()[0]
        clock.set(f"{seconds:+d}")
        wait_until(lambda: abs(client.time()[0] - before) > abs(seconds) / 2, what="Redis' clock is set")


@pytest.mark.parametrize("lease_s", [30])  # a third of it is longer than the interval of the rescuer
def test_answers_that_come_after_the_clock_was_set_forward_are_known(stack: Stack, clock: Clock) -> None:
    stack.worker()
    stack.producer.enqueue(record())
    wait_until(lambda: stack.counts().get("delivered") == 1, what="the worker delivers, and ticks read the clock")
    stack.sim.fault("slow", endpoint="response", seconds=9, times=SENT)
    receipts = [stack.producer.enqueue(response()) for _ in range(SENT)]
    wait_until(lambda: stack.sim.faults()[0]["hits"] == SENT, what="all are out")
    set_clock(stack, clock, 60)
    for receipt in receipts:
        receipt.result(timeout=60)
    assert not stack.counts()["unknown"]
    assert set(stack.keys().values()) == {1}


@pytest.mark.parametrize("lease_s", [8])
def test_jobs_of_killed_worker_return_soon_after_clock_step_back(stack: Stack, clock: Clock) -> None:
    killed = stack.worker()
    stack.sim.fault("slow", endpoint="records", seconds=5, times=SENT)
    for _ in range(SENT):
        stack.producer.enqueue(record())
    wait_until(lambda: stack.counts().get("sending"), what="the worker holds jobs")
    kill(killed)
    set_clock(stack, clock, -600)
    stack.sim.clear_faults()
    stack.worker()
    wait_until(lambda: stack.counts().get("delivered") == SENT, within=60, what="all came back and were delivered")
