"""Repeats a piece of work on one of the threads of Celery's pool, for as long as the worker's consumer runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from celery import bootsteps

if TYPE_CHECKING:
    from collections.abc import Callable

    from celery import Celery

log = structlog.get_logger("gaugepost.worker")


def repeat(app: Celery, what: str, every_s: float, work: Callable[[], None]) -> None:
    """Do `work` every `every_s` seconds in a worker of this app, never twice at a time. `what` names it to Celery.

    Celery's consumer runs the timer, a thread of the pool does the work. It begins anew with each connection: Celery
    clears its timers when it loses one.
    """

    class Repeating(bootsteps.StartStopStep):
        name = f"{__name__}:{what}"
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, parent: Any) -> None:  # noqa: ANN401 - celery's own
            is_pending = [False]  # whether the last turn still is_pending for a thread, or works

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
