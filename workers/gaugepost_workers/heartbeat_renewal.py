"""Renews a worker's heartbeat, but only while the worker can take jobs.

A thread of its own would prove only that the process has threads. So every part that a job needs takes part here:
Celery's consumer runs a timer, the timer gives work to Celery's thread pool, and the pool's thread asks the watchdog.
If one of these is stuck, the heartbeat grows old, and `gaugepost health worker` reports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from gaugepost.errors import SettingsError
from gaugepost_workers.celery_app.consumer_timer import repeat
from gaugepost_workers.heartbeat import Heartbeat
from gaugepost_workers.watchdog import WATCHDOG

if TYPE_CHECKING:
    from collections.abc import Callable

    from celery import Celery

    from gaugepost.settings import Settings

log = structlog.get_logger("gaugepost.heartbeat")

EVERY_S = 2.0


def open_heartbeat(settings: Settings, name: str) -> Heartbeat | None:
    """Create the heartbeat of a process. Return None if its file cannot be written: jobs are delivered anyway."""
    try:
        return Heartbeat(settings, name)
    except (OSError, SettingsError) as error:
        log.warning(
            "no heartbeat for gaugepost health: set GAUGEPOST_RUN_DIR",
            error=str(error),
        )
        return None


def renew_while_healthy(app: Celery, renew: Callable[[], None]) -> None:
    """Call `renew` every two seconds while the worker of this app can take jobs."""

    def renew_if_healthy() -> None:
        if WATCHDOG.is_healthy():
            renew()

    repeat(app, "heartbeat", EVERY_S, renew_if_healthy)
