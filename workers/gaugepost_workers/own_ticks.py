"""Runs the ticks in the workers while no beat ticks, so that jobs are delivered without a beat too.

Each worker calls one script a second. The script notes that the worker is alive, and returns the ticks that this worker
has to run: none while beat ticks. Without a beat for 5 seconds each tick goes to one worker an interval, however many
workers ask. Redis' clock decides (alive.lua).
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

    from gaugepost.ledger import Ledger
    from gaugepost_workers.celery_app.app import TaskHandler
    from gaugepost_workers.observers.metrics import WorkerMetrics

log = structlog.get_logger("gaugepost.ticks")

EVERY_S = 1.0


class OwnTicks:
    """The ticks that one worker process runs itself."""

    def __init__(self, ledger: Ledger, worker: str, handler: TaskHandler, metrics: WorkerMetrics | None) -> None:
        self._ledger = ledger
        self._worker = worker
        self._handler = handler
        self._metrics = metrics
        self._started = time.monotonic()
        self._beat_is_missed = False

    def note_start(self) -> None:
        """Note that this worker is alive, before it claims. Raises StoreError."""
        self._ledger.alive(self._worker, 0.0, "", {})

    def start(self, app: Celery) -> None:
        """Look each second while a worker of this app runs."""
        repeat(app, "own_ticks", EVERY_S, self.run_due)

    def run_due(self) -> None:
        """Note that this worker is alive, and run the ticks that are due because no beat ticks.

        A worker that is stuck, as `health worker` sees it, does neither.
        """
        if not WATCHDOG.is_healthy():
            return
        up_s = time.monotonic() - self._started
        try:
            found = self._ledger.alive(self._worker, up_s, WATCHDOG.pop_newest_tick(), TICKS)
        except StoreError as error:
            log.warning("Redis does not say whether beat ticks", error=str(error))
            return
        self._report(up_s if found.beat_ago is None else found.beat_ago)
        for tick in found.ticks:
            run_tick(self._handler, tick)
            if self._metrics is not None:
                self._metrics.ran_tick_itself(tick)

    def _report(self, silent_s: float) -> None:
        """Log once that beat is missed, and once that it ticks again."""
        is_missed = silent_s * 1000 >= NO_BEAT_MS
        if is_missed and not self._beat_is_missed:
            log.warning("no beat ticks: workers run the ticks themselves; start one: gaugepost beat")
        if self._beat_is_missed and not is_missed:
            log.info("beat ticks again")
        self._beat_is_missed = is_missed
