"""Celery's way from a message to a task, without what our tasks never use.

Celery's default strategy makes a Request of each message and runs the task in its tracer, for revocation, time limits,
retries, results and events. A bell and a tick have none of these, and the Request and the tracer take a quarter of the
time from a bell to its claim (benchmarks/RESULTS.md). Celery's consumer and its pool do the rest as always.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import structlog

from gaugepost.bell import DELIVER
from gaugepost_workers.watchdog import WATCHDOG

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger("gaugepost.worker")

_YIELD_S = 0.001
"""After each message the consumer sleeps so long: else it keeps the interpreter while it goes back to its queues, and
the thread that does the work waits for it. A claim and a first byte take about so long."""


def hand_over(task: Any, _app: object, consumer: Any) -> Callable[..., None]:  # noqa: ANN401 - celery has no types
    """Return what celery calls with each message of this task: it gives the task to the pool. Celery's `Strategy`."""
    apply = consumer.pool.apply_async
    is_tick = task.name != DELIVER

    def run() -> None:
        try:
            task.run()
        except Exception:
            log.exception("task failed", task=task.name)

    def received(message: Any, *_: object) -> None:  # noqa: ANN401 - as above
        if is_tick:
            WATCHDOG.note_tick(message.headers["id"])
        apply(run, callback=_ignore)
        time.sleep(_YIELD_S)

    return received


def _ignore(_: object) -> None:
    """Take the outcome of a task: there is none."""
