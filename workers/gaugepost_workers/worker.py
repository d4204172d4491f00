"""One worker process: a region's Celery worker with its dispatcher.

SIGTERM is a warm shutdown. The worker claims no more jobs, gives back those that have not started, and finishes and
settles the others. The supervisor must wait for longer than the longest exchange before it kills the process. The jobs
of a killed worker come back when their leases end.
"""

from __future__ import annotations

import os
import signal
import socket
import uuid
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import celery.apps.worker
import celery.worker.state
import structlog
from celery.signals import worker_init, worker_ready, worker_shutting_down

from gaugepost.connection import connect, connect_briefly, redis_url
from gaugepost.errors import ClusterNotSupported, LedgerClosed, NotPermitted, StoreError
from gaugepost.ledger import WorkerLedger
from gaugepost.settings import PREFIX
from gaugepost_tasks.endpoints.handlers import check_handlers
from gaugepost_tasks.http import HttpClient
from gaugepost_workers.capacity import URGENT_THREADS
from gaugepost_workers.celery_app.app import OPEN_SLOT, PROMOTE, RESCUE, SWEEP, make_app
from gaugepost_workers.celery_app.message_filter import on_discarded
from gaugepost_workers.celery_app.remote_control import restrict_remote_control
from gaugepost_workers.delivery import Delivery
from gaugepost_workers.dispatcher import Dispatcher
from gaugepost_workers.heartbeat_renewal import open_heartbeat, renew_while_healthy
from gaugepost_workers.liveness import Liveness
from gaugepost_workers.observers.dispatcher_watch import DispatcherWatch
from gaugepost_workers.observers.fan_out import FanOut
from gaugepost_workers.observers.flower_events import TaskEvents
from gaugepost_workers.observers.ledger_log import log_notice
from gaugepost_workers.observers.traces import open_traces
from gaugepost_workers.own_ticks import OwnTicks
from gaugepost_workers.redis_trouble import redis_trouble
from gaugepost_workers.rescuer import rescue
from gaugepost_workers.watchdog import WATCHDOG
from gaugepost_workers.webhooks.sender import CONNECT_S, READ_S, WebhookSender

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gaugepost.ledger import Settlement
    from gaugepost.regions import Region
    from gaugepost.settings import Settings
    from gaugepost_workers.heartbeat import Heartbeat
    from gaugepost_workers.observers.metrics import WorkerMetrics
    from gaugepost_workers.observers.observer import Observer

log = structlog.get_logger("gaugepost.worker")

_CREDENTIAL_SETTINGS = {"oauth": "CLIENT_ID and CLIENT_SECRET", "api_key": "API_KEY"}
_CELERY_THREADS = 4  # one runs the dispatcher's loop, the others take bells and ticks meanwhile


class Worker:
    """The parts of one worker process, and what its Celery tasks call."""

    def __init__(self, settings: Settings, region: Region, concurrency: int) -> None:
        check_handlers()
        self.settings = settings
        self.region = region
        self._concurrency = concurrency
        self.name = f"{region}-{os.getpid()}@{socket.gethostname()}"
        self.ledger = WorkerLedger(connect(settings, region), region, settings)
        self.app = make_app(region, redis_url(settings, region), self, namespace=settings.namespace)
        http = HttpClient.of(settings, region, concurrency + URGENT_THREADS)
        self._ticks: dict[str, Callable[[], object]] = {
            PROMOTE: self._promote,
            RESCUE: self._rescue,
            OPEN_SLOT: self.ledger.open_slot,
            SWEEP: self.ledger.sweep,
        }
        self._log_notice = partial(log_notice, region)
        self._failed = False
        self._webhooks = WebhookSender.of(settings, region)
        self.delivery = Delivery(self.ledger, http, settings, self._refused_alone)
        # Each belongs to one thread: the dispatcher's, and that of the rescue tick.
        self._events = TaskEvents(self.app, self.name) if settings.events else None
        self._rescue_events = TaskEvents(self.app, self.name) if settings.events else None
        self._liveness = Liveness("take work", partial(redis_trouble, settings, region))
        self._metrics = _metrics(settings, region, self._liveness)
        self._id = f"{self.name}-{uuid.uuid4().hex[:8]}"
        self._own_ticks = OwnTicks(self.ledger, self._id, self, self._metrics)
        self.dispatcher = Dispatcher(
            self.ledger,
            self.delivery.deliver,
            DispatcherWatch(self._observer()),
            worker=self._id,
            concurrency=concurrency,
            lease_s=settings.lease,
        )

    def deliver(self) -> None:
        """Answer a bell: run the dispatcher until no work is left."""
        with WATCHDOG.dispatching():
            self.dispatcher.run()

    def tick(self, name: str) -> None:
        """Do the work of one tick. Raises StoreError."""
        self._ticks[name]()
        if self._metrics is not None:
            self._metrics.ticked(name)

    def _rescue(self) -> None:
        rescue(self.ledger, self.settings.backoff, self._rescued)

    def _rescued(self, settlements: Sequence[Settlement]) -> None:
        if self._rescue_events is not None:
            self._rescue_events.settled(settlements)
        if self._metrics is not None:
            self._metrics.rescued(settlements)

    def _observer(self) -> Observer:
        found = (self._events, self._metrics, open_traces(self.region))
        observers = [observer for observer in found if observer is not None]
        return observers[0] if len(observers) == 1 else FanOut(*observers)

    def run(self) -> int:
        """Run until a signal stops the worker; return the exit code.

        Raises LedgerClosed, ClusterNotSupported, NotPermitted.
        """
        self._migrate_ledger()
        worker_init.connect(self._on_start, weak=False)
        worker_ready.connect(_handle_sigquit_like_sigterm, weak=False)
        worker_shutting_down.connect(self._on_shutdown, weak=False)
        restrict_remote_control(self._concurrency)
        if self._metrics is not None:
            on_discarded.append(self._metrics.discarded)
        celery.apps.worker.safe_say = _log_text  # type: ignore[attr-defined]  # not in its stubs
        heartbeat = open_heartbeat(self.settings, f"worker-{self.region}")
        renew_while_healthy(self.app, partial(_renew, self._liveness, heartbeat))
        self._own_ticks.start(self.app)
        argv = [
            "--quiet",
            "worker",
            "--hostname",
            self.name,
            "--concurrency",
            str(_CELERY_THREADS),
            "--loglevel",
            "WARNING",
        ]
        argv += ["--without-gossip", "--without-mingle", "--events"]
        try:
            self.app.worker_main(argv)
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else 1
        finally:
            if heartbeat is not None:
                heartbeat.remove()
            self._webhooks.stop(CONNECT_S + READ_S + 1)
            self._note_end()
        return int(self._failed)

    def _migrate_ledger(self) -> None:
        """Migrate the ledger to this version's format. Does not wait for a Redis that is away.

        Raises LedgerClosed (a newer version has written to it), ClusterNotSupported, NotPermitted.
        """
        try:
            self.ledger.migrate()
        except (LedgerClosed, ClusterNotSupported, NotPermitted):
            raise
        except StoreError as error:
            log.warning("Redis is away; waiting for it", error=str(error))

    def _note_end(self) -> None:
        """Record in Redis that this worker has ended. Does not wait for a Redis that is away."""
        with suppress(StoreError), closing(connect_briefly(self.settings, self.region)) as client:
            WorkerLedger(client, self.region, self.settings).leave(self._id)

    def _promote(self) -> None:
        self.ledger.migrate()  # services of an older version may still enqueue in the old format
        self.ledger.promote(self.delivery.credentials.fingerprints, self._log_notice)
        self.ledger.index()
        self._webhooks.wake()
        self.ledger.operation_runner.run(self._id)

    def _refused_alone(self, need: str) -> None:
        """Shut down warmly with exit code 1: other workers can deliver, and this one only takes jobs from them."""
        if self._failed:
            return
        self._failed = True
        log.error(
            "worker stops: CustomerGauge refuses its credential and accepts that of another worker",
            settings=f"{PREFIX}{self.region.upper()}_{_CREDENTIAL_SETTINGS[need]}",
            fingerprint=self.delivery.credentials.fingerprints[need],
        )
        self.dispatcher.stop()
        celery.worker.state.should_stop = 1  # type: ignore[assignment]  # its stubs know no exit code

    def _on_start(self, **_: Any) -> None:  # noqa: ANN401 - a Celery signal
        """Queue the jobs that waited for this worker's credentials, and ring for work whose bell was lost."""
        try:
            self._own_ticks.note_start()
            self.delivery.credentials.stop_if_refused()
            self.ledger.promote(self.delivery.credentials.fingerprints, self._log_notice)
        except StoreError as error:
            log.warning("Redis is away; waiting for it", error=str(error))
        log.info("worker starts", region=str(self.region), name=self.name)

    def _on_shutdown(self, **_: Any) -> None:  # noqa: ANN401 - a Celery signal
        self.dispatcher.stop()


def _renew(liveness: Liveness, heartbeat: Heartbeat | None) -> None:
    liveness.renew()
    if heartbeat is not None:
        heartbeat.renew()


def _metrics(settings: Settings, region: Region, liveness: Liveness) -> WorkerMetrics | None:
    """Serve metrics if METRICS_PORT is set. Without it the module is not even loaded."""
    if settings.metrics_port is None:
        return None
    from gaugepost_workers.observers.metrics import WorkerMetrics, serve  # noqa: PLC0415

    metrics = WorkerMetrics(region)
    serve(metrics.registry, settings.metrics_address, settings.metrics_port, liveness.check)
    return metrics


def _log_text(text: str, *_: object) -> None:
    """Log Celery's shutdown messages. Celery would write them to the terminal, in the middle of a JSON log."""
    log.info(text)


def _handle_sigquit_like_sigterm(**_: Any) -> None:  # noqa: ANN401 - a Celery signal
    """Let SIGQUIT do what SIGTERM does. With a thread pool, Celery's cold shutdown fails half-way and stops nothing."""
    signal.signal(signal.SIGQUIT, signal.getsignal(signal.SIGTERM))
