"""Run Celery's consumer and pool with our own strategy between them, on a real Redis."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING

import pytest
import redis
import structlog.testing
from celery.contrib.testing.worker import start_worker

from gaugepost import Region
from gaugepost.bell import DELIVER
from gaugepost_workers.celery_app.app import SWEEP, make_app
from support.bells import bell
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


class Calls:
    """Notes what is called; the first bell fails."""

    def __init__(self) -> None:
        self.called: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._fails = True

    def deliver(self) -> None:
        self.called.put(DELIVER)
        fails, self._fails = self._fails, False
        if fails:
            raise RuntimeError("a fault")

    def tick(self, name: str) -> None:
        self.called.put(name)


@pytest.fixture
def calls(redis_url: str) -> Iterator[Calls]:
    """Return the calls of a worker in this process."""
    calls = Calls()
    app = make_app(Region.EU, redis_url, calls)
    with start_worker(app, perform_ping_check=False, pool="threads", concurrency=2, loglevel="ERROR"):
        yield calls


def test_task_that_fails_is_logged_and_the_next_one_runs(redis_url: str, calls: Calls) -> None:
    with redis.Redis.from_url(redis_url) as client, structlog.testing.capture_logs() as logged:
        for pushed, task in (
            ("gaugepost.eu", DELIVER),
            ("gaugepost.eu.urgent", DELIVER),
            ("gaugepost.eu.ticks", SWEEP),
        ):
            client.lpush(pushed, bell(pushed, task))
            assert calls.called.get(timeout=10) == task
        wait_until(lambda: logged, what="the fault is logged")
        assert client.exists("gaugepost.eu", "gaugepost.eu.urgent", "gaugepost.eu.ticks", "unacked") == 0
    assert [(line["event"], line["task"], line["exc_info"]) for line in logged] == [("task failed", DELIVER, True)]
