"""Beat: sends the ticks. It pushes a message for each due tick into the tick queue of each region.

Without beat the workers run the ticks themselves (own_ticks.py).

The work of a tick is one script that uses Redis' clock, so any number of beats may run, in one directory too: beat
writes no state file. Beat pushes a tick only into a short queue. Celery's message expiry would not keep the queue short
where no worker reads it, because the Redis transport checks it only on receipt.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog
from celery import Celery
from celery.beat import ScheduleEntry, Scheduler
from celery.schedules import schedule

from gaugepost.connection import connect
from gaugepost.errors import NotPermitted, StoreError
from gaugepost.keys import Keys
from gaugepost.ledger.scripts import Call, Runner
from gaugepost.settings import Settings
from gaugepost_workers.celery_app.app import TICKS
from gaugepost_workers.heartbeat_renewal import open_heartbeat
from gaugepost_workers.liveness import Liveness

if TYPE_CHECKING:
    from gaugepost.regions import Region
    from gaugepost_workers.observers.metrics import BeatMetrics

log = structlog.get_logger("gaugepost.beat")

_QUEUE_LIMIT = 2 * len(TICKS)
_LONGEST_SLEEP_S = 1
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def _monotonic_now() -> datetime:
    """Return a time that is never set back. Celery computes with dates: a clock set back by hours would stop beat."""
    return datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=time.monotonic())


class TickScheduler(Scheduler):
    """Celery's scheduler without its state file. It sends ticks into the Redis of every region."""

    def __init__(self, app: Celery, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - celery's own
        settings = Settings.load()
        self._regions = {str(region): _Region(settings, region) for region in settings.regions}
        self._heartbeat = open_heartbeat(settings, "beat")
        self._liveness = Liveness("tick")
        self._metrics = _metrics(settings, self._liveness)
        super().__init__(app, *args, **kwargs)

    def setup_schedule(self) -> None:
        """Add an entry for every tick of every region, all due at once.

        Celery would first wait for a whole interval: a beat that restarts often would never send a slow tick.
        """
        for region in self._regions:
            for name, every in TICKS.items():
                entry = f"{name} {region}"
                ticking = schedule(every, nowfun=_monotonic_now, app=self.app)
                self.schedule[entry] = ScheduleEntry(
                    entry, name, _LONG_AGO, schedule=ticking, args=(region,), app=self.app
                )

    def apply_async(self, entry: Any, producer: Any = None, advance: bool = True, **_: Any) -> None:  # noqa: ANN401, ARG002, FBT001, FBT002 - celery's signature
        """Push one tick. If the region's Redis is away, this tick is lost and the next one follows soon.

        If Redis does not permit beat to push ticks, the heartbeat is not renewed: then beat is not well.
        """
        if advance:
            entry = self.reserve(entry)
        try:
            self._regions[entry.args[0]].push(entry.task)
        except StoreError as error:
            log.warning("tick not sent", tick=entry.name, error=str(error))
            self._count(entry, sent=False)
            if isinstance(error, NotPermitted):
                return
        else:
            self._count(entry, sent=True)
        self._liveness.renew()
        if self._heartbeat is not None:
            self._heartbeat.renew()

    def _count(self, entry: Any, *, sent: bool) -> None:  # noqa: ANN401 - as above
        if self._metrics is not None:
            self._metrics.ticked(entry.args[0], entry.task, sent=sent)

    @property
    def producer(self) -> Any:  # noqa: ANN401 - celery's own
        """Return none: Celery would connect to publish, but `apply_async` pushes ticks itself."""
        return None


def _metrics(settings: Settings, liveness: Liveness) -> BeatMetrics | None:
    """Serve metrics if METRICS_PORT is set."""
    if settings.metrics_port is None:
        return None
    from gaugepost_workers.observers.metrics import BeatMetrics, serve  # noqa: PLC0415 - only where METRICS_PORT is set

    metrics = BeatMetrics(map(str, settings.regions))
    serve(metrics.registry, settings.metrics_address, settings.metrics_port, liveness.check)
    return metrics


class _Region:
    def __init__(self, settings: Settings, region: Region) -> None:
        self._run = Runner(connect(settings, region))
        keys = Keys(region, settings.namespace)
        self._keys = (keys.prefix, keys.tick_queue)

    def push(self, tick: str) -> None:
        self._run(Call("tick", self._keys, [_QUEUE_LIMIT, tick], bool))


def run_beat() -> None:
    """Run beat until a signal stops it."""
    app = Celery("gaugepost-beat", set_as_current=False)
    app.conf.update(enable_utc=True, timezone="UTC", worker_hijack_root_logger=False)
    scheduler = f"{TickScheduler.__module__}:{TickScheduler.__name__}"
    app.Beat(scheduler=scheduler, max_interval=_LONGEST_SLEEP_S, loglevel="WARNING", quiet=True).run()
