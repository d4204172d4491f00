"""Runs a task for a message, without the parts of Celery that bells and ticks never use.

Celery's default strategy creates a Request for each message and runs the task in its tracer, for revocation, time
limits, retries, results and events. Bells and ticks have none of these. The Request and the tracer take a quarter of
the time from a bell to its claim (benchmarks/RESULTS.md). Celery's consumer and pool are used as they are.
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
"""Seconds for which the consumer sleeps after each message: about as long as a claim and a first byte take.

Without it the consumer keeps the interpreter lock while it returns to its queues, and the thread that runs the task
waits for it."""


def hand_over(task: Any, _app: object, consumer: Any) -> Callable[..., None]:  # noqa: ANN401 - celery has no types
    """Return the function that gives each message of this task to the pool. It is the task's `Strategy` in Celery."""
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
    """Ignore the result of a task, which is always None."""
