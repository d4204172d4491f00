"""Renews a worker's pulse, only while it would really take work.

A thread that beats on its own would prove only that the process has threads. Here each part that a job needs has its
turn: Celery's consumer runs a timer, which gives a thread of the pool a piece of work beside the bells; that thread
checks that messages are still read from Redis, and that the dispatcher runs or has nothing to do. If one of them is
stuck, the pulse is not renewed, and `gaugepost health worker` says so.
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
    """Begin a part's pulse; None if it cannot be written: that is no reason to deliver nothing."""
    try:
        return Heartbeat(settings, name)
    except (OSError, SettingsError) as error:
        log.warning("no pulse for gaugepost health; set GAUGEPOST_RUN_DIR", error=str(error))
        return None


def renew_while_healthy(app: Celery, renew: Callable[[], None]) -> None:
    """Call `renew` now and then, while a worker of this app takes work."""

    def renew_if_healthy() -> None:
        if WATCHDOG.is_healthy():
            renew()

    repeat(app, "heartbeat", EVERY_S, renew_if_healthy)
