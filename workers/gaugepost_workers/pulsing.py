"""Renews a worker's pulse, only while it would really take work.

A thread that beats on its own would tell that the process has threads. Here each link of the chain that work goes
through has its turn: Celery's consumer turns a timer, which puts a note among the bells for the pool's threads; the
thread that takes it looks whether messages are still read from Redis, and whether the executor's wheel turns or rests.
Whichever is stuck, the pulse is not renewed, and `gaugepost health worker` says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from celery import bootsteps

from gaugepost.errors import SettingsError
from gaugepost.pulse import Pulse
from gaugepost_workers.signs import SIGNS

if TYPE_CHECKING:
    from celery import Celery

    from gaugepost.settings import Settings

log = structlog.get_logger("gaugepost.pulse")

EVERY_S = 2.0


def open_pulse(settings: Settings, name: str) -> Pulse | None:
    """Begin a part's pulse; None if it cannot be written: that is no reason to deliver nothing."""
    try:
        return Pulse(settings, name)
    except (OSError, SettingsError) as error:
        log.warning("no pulse for gaugepost health; set GAUGEPOST_RUN_DIR", error=str(error))
        return None


def pulse_with(app: Celery, pulse: Pulse) -> None:
    """Renew this pulse while a worker of this app takes work."""

    class Pulsing(bootsteps.StartStopStep):
        """Begins anew with each connection: celery clears its timers when one is lost."""

        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, parent: Any) -> None:  # noqa: ANN401 - celery's own
            waits = [False]  # whether the last note still waits for a thread

            def take() -> None:
                waits[0] = False
                if SIGNS.good():
                    pulse.beat()

            def put() -> None:
                if not waits[0]:
                    waits[0] = True
                    parent.pool.apply_async(take, callback=lambda _: None)

            parent.timer.call_repeatedly(EVERY_S, put)

    app.steps["consumer"].add(Pulsing)
