"""Check that workers run each tick once an interval while no beat runs, and stop when beat is back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.chaos.hosts import Clock
from support.factories import record, response, upload
from support.metrics import value
from support.redis_server import RedisServer, free_port
from support.stack import Stack, kill
from support.wait import wait_until
from support.worker_ledger import worker_ledger

SHORT: dict[str, Any] = {"connect_timeout": 1, "read_timeout": 2, "lease": 4, "retention_delivered": "1s"}
QUICK: dict[str, Any] = {"backoff__server_error": "1s,1s", "backoff__lost_answer": "1s,1s"}
RUNS = 9


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, **SHORT, **QUICK, metrics_port=free_port(in_a_row=2)) as stack:
        yield stack


def counted(stack: Stack, name: str, tick: str = "promote") -> int:
    """Sum a metric of both processes that a worker may have."""
    port = int(stack.variables["GAUGEPOST_METRICS_PORT"])
    return sum(int(value(one, name, region="eu", tick=tick) or 0) for one in (port, port + 1))


def own(stack: Stack, tick: str = "promote") -> int:
    """Count the ticks that workers ran themselves."""
    return counted(stack, "gaugepost_own_ticks_total", tick)


def of_beat(stack: Stack) -> int:
    """Count the ticks that workers ran because a beat sent them."""
    return counted(stack, "gaugepost_ticks_total") - own(stack)


def start_beat(stack: Stack) -> None:
    """Start a beat, which has no metrics, and wait until workers run its ticks."""
    port = stack.variables.pop("GAUGEPOST_METRICS_PORT")
    stack.beat()
    stack.variables["GAUGEPOST_METRICS_PORT"] = port
    before = of_beat(stack)
    wait_until(lambda: of_beat(stack) > before + 2, what="workers run beat's ticks")


def leaves_ticks_to_beat(stack: Stack) -> bool:
    """Return whether beat sends all of the next ticks."""
    before, of_beat_before = own(stack), of_beat(stack)
    wait_until(lambda: of_beat(stack) >= of_beat_before + RUNS, what="beat ticks")
    return own(stack) == before


def test_delivery_continues_after_beat_was_killed_for_good(stack: Stack) -> None:
    ledger = worker_ledger(stack.producer)
    beat = stack.beat()
    wait_until(lambda: ledger.statistics().ticks_waiting, what="beat ticks")
    kill(beat)
    lost = stack.producer.enqueue(record())
    assert ledger.claim("killed", "its claim", 1).jobs
    stack.sim.fault("status", code=500, endpoint="records", times=1)
    ended = stack.producer.enqueue(response())
    stack.worker()
    parked = stack.producer.enqueue(record(source="crm"))
    files = [stack.producer.enqueue(upload(f"{i}.csv")) for i in range(3)]
    receipts = [lost, ended, parked, *files]
    wait_until(lambda: set(stack.keys()) == {one.id for one in receipts}, what="all have had their effect")
    wait_until(lambda: ledger.read([ended.id]) == [None], within=90, what="the one that ended is swept")
    assert "no beat ticks: workers run the ticks themselves" in stack.logs()


def test_two_workers_without_beat_run_each_tick_once_an_interval(stack: Stack) -> None:
    stack.worker(processes=2)
    wait_until(lambda: own(stack), what="workers run the ticks")
    started = time.monotonic()
    before = own(stack), own(stack, "rescue")
    wait_until(lambda: own(stack) >= before[0] + RUNS, what="nine more runs")
    elapsed = time.monotonic() - started
    assert own(stack) - before[0] <= elapsed + 2
    assert own(stack, "rescue") - before[1] <= elapsed / 2 + 2
    assert own(stack, "sweep") == 1


def test_workers_leave_the_ticks_to_a_beat_that_is_back(stack: Stack) -> None:
    stack.worker()
    wait_until(lambda: own(stack) > 1, what="the worker runs the ticks")
    start_beat(stack)
    assert leaves_ticks_to_beat(stack)
    assert "beat ticks again" in stack.logs()


@pytest.mark.needs("faketime")
def test_redis_clock_set_back_stops_no_tick(tmp_path: Path) -> None:
    clock = Clock(tmp_path, "redis")
    server = RedisServer(tmp_path, env=clock.env())
    with Stack(tmp_path, redis=server, **SHORT, metrics_port=free_port(in_a_row=2)) as stack:
        stack.worker()
        wait_until(lambda: own(stack) > 1, what="the worker runs the ticks")
        with stack.redis.client() as client:
            before = client.time()[0]
            clock.set("-600")
            wait_until(lambda: client.time()[0] < before - 300, what="Redis' clock is set back")
        set_back = own(stack)
        wait_until(lambda: own(stack) > set_back + 2, what="the worker still runs the ticks")
        start_beat(stack)
        assert leaves_ticks_to_beat(stack)
