"""Runs the ticks in the workers while no beat sends them, so that jobs are delivered without beat too.

Each worker calls one script each second (`alive.lua`). The script notes that the worker is alive, and returns the ticks
that this worker must run. While beat sends ticks there are none. After 5 s without beat, each tick goes to one worker
in its interval, however many workers ask. The script uses Redis' clock.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from gaugepost.errors import StoreError
from gaugepost.ledger.presence import NO_BEAT_MS
from gaugepost_workers.celery_app.app import TICKS, run_tick
from gaugepost_workers.celery_app.consumer_timer import repeat
from gaugepost_workers.watchdog import WATCHDOG

if TYPE_CHECKING:
    from celery import Celery

    from gaugepost.ledger import WorkerLedger
    from gaugepost_workers.celery_app.app import TaskHandler
    from gaugepost_workers.observers.metrics import WorkerMetrics

log = structlog.get_logger("gaugepost.ticks")

EVERY_S = 1.0


class OwnTicks:
    """The ticks that one worker process runs itself. `worker`: its id in the ledger."""

    def __init__(self, ledger: WorkerLedger, worker: str, handler: TaskHandler, metrics: WorkerMetrics | None) -> None:
        self._ledger = ledger
        self._worker = worker
        self._handler = handler
        self._metrics = metrics
        self._started = time.monotonic()
        self._beat_is_missed = False

    def note_start(self) -> None:
        """Record that this worker is alive, before its first claim. Raises StoreError."""
        self._ledger.alive(self._worker, 0.0, "", {})

    def start(self, app: Celery) -> None:
        """Call `run_due` each second while the worker of this app runs."""
        repeat(app, "own_ticks", EVERY_S, self.run_due)

    def run_due(self) -> None:
        """Record that this worker is alive, and run the ticks that are due because no beat sends them.

        A stuck worker does neither.
        """
        if not WATCHDOG.is_healthy():
            return
        up_s = time.monotonic() - self._started
        try:
            found = self._ledger.alive(self._worker, up_s, WATCHDOG.pop_newest_tick(), TICKS)
        except StoreError as error:
            log.warning("cannot ask Redis whether beat ticks", error=str(error))
            return
        self._report(up_s if found.beat_ago is None else found.beat_ago)
        for tick in found.ticks:
            run_tick(self._handler, tick)
            if self._metrics is not None:
                self._metrics.ran_own_tick(tick)

    def _report(self, silent_s: float) -> None:
        """Log once that beat is missing, and once that it ticks again. `silent_s`: seconds since its last tick."""
        is_missed = silent_s * 1000 >= NO_BEAT_MS
        if is_missed and not self._beat_is_missed:
            log.warning("no beat ticks: workers run the ticks themselves; start one: gaugepost beat")
        if self._beat_is_missed and not is_missed:
            log.info("beat ticks again")
        self._beat_is_missed = is_missed
