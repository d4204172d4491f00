"""Repeats a function on a thread of Celery's pool for as long as the worker's consumer runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from celery import bootsteps

if TYPE_CHECKING:
    from collections.abc import Callable

    from celery import Celery

log = structlog.get_logger("gaugepost.worker")


def repeat(app: Celery, what: str, every_s: float, work: Callable[[], None]) -> None:
    """Call `work` every `every_s` seconds in a worker of this app, never twice at a time. `what` names it in Celery.

    The timer of Celery's consumer starts each call, and a thread of the pool runs it. Celery clears its timers when it
    loses its connection, so this starts again with each connection.
    """

    class Repeating(bootsteps.StartStopStep):
        name = f"{__name__}:{what}"
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, parent: Any) -> None:  # noqa: ANN401 - celery's own
            is_pending = [False]  # whether the last call still waits for a thread, or runs

            def run() -> None:
                try:
                    work()
                except Exception:
                    log.exception("repeated work failed", work=what)
                finally:
                    is_pending[0] = False

            def submit() -> None:
                if not is_pending[0]:
                    is_pending[0] = True
                    parent.pool.apply_async(run, callback=lambda _: None)

            parent.timer.call_repeatedly(every_s, submit)

    app.steps["consumer"].add(Repeating)
