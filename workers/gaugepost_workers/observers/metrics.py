"""Prometheus metrics of a worker and of beat: what this process did. The exporter has what is in Redis.

Labels are words of ours with few values: region, kind, state, verdict, tick. No label is a configuration, a source, an
id or anything that a person wrote.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from gaugepost.jobs import JOBS
from gaugepost.transitions import Dead, Delivered, Held, Parked, Requeued, Resend, Unknown
from gaugepost.verdict import Verdict
from gaugepost_workers.celery_app.app import TICKS
from gaugepost_workers.http_pages import serve_pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gaugepost.ledger import Claimed, Settlement
    from gaugepost.regions import Region
    from gaugepost.transitions import Transition
    from gaugepost_workers.liveness import Health

disable_created_metrics()  # type: ignore[no-untyped-call] # it would double the series, and no query uses it

log = structlog.get_logger("gaugepost.metrics")

NO_VERDICT = "none"
_HELP = {
    "gaugepost_jobs": "Jobs that this process settled: what became of them, and the verdict of the last attempt",
    "gaugepost_attempts": "Attempts by verdict, those of lost workers' jobs included",
    "gaugepost_delivery_seconds": "From enqueue (Redis' clock) to delivery (this host's)",
    "gaugepost_exchange_seconds": "One HTTP exchange with CustomerGauge that had an answer",
    "gaugepost_rescued_jobs": "Jobs taken back from lost workers",
    "gaugepost_ticks": "Ticks whose work was done",
    "gaugepost_own_ticks": "Those of the ticks that this worker ran itself, because no beat ticked",
    "gaugepost_messages_thrown_away": "Celery messages that were no bell, no tick and no question of Flower's",
}
_RETRY_S = 5.0
_DELIVERY_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 3_600, 14_400, 86_400)
_EXCHANGE_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_STATE_AFTER: dict[type[Transition], str] = {
    Delivered: "delivered",
    Parked: "parked",
    Held: "parked",
    Requeued: "queued",
    Resend: "queued",
    Dead: "dead",
    Unknown: "unknown",
}


class _Series(dict[tuple[str, ...], Any]):
    """The series of one metric, by the labels after `region`. A look-up in the metric costs more than the count."""

    def __init__(self, metric: Counter | Histogram, region: str) -> None:
        super().__init__()
        self._metric = metric
        self._region = region

    def __missing__(self, labels: tuple[str, ...]) -> Any:  # noqa: ANN401 - of a counter or a histogram
        series = self[labels] = self._metric.labels(self._region, *labels)
        return series


class WorkerMetrics:
    """Counts the outcomes of one worker's jobs: an observer of its dispatcher and of its rescues."""

    def __init__(self, region: Region) -> None:
        self.registry = CollectorRegistry()
        self._region = str(region)
        self._jobs = self._counter("gaugepost_jobs", "kind", "state", "verdict")
        self._attempts = self._counter("gaugepost_attempts", "kind", "verdict")
        self._delivery = self._histogram("gaugepost_delivery_seconds", "kind", buckets=_DELIVERY_S)
        self._exchange = self._histogram("gaugepost_exchange_seconds", "kind", buckets=_EXCHANGE_S)
        self._rescued = self._counter("gaugepost_rescued_jobs")
        self._ticks = self._counter("gaugepost_ticks", "tick")
        self._own_ticks = self._counter("gaugepost_own_ticks", "tick")
        self._discarded = self._counter("gaugepost_messages_thrown_away")
        ProcessCollector(registry=self.registry)
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        """Create the series of failures: Prometheus would not see the first failure as a rise."""
        self._rescued[()].inc(0)
        self._discarded[()].inc(0)
        for tick in TICKS:
            self._own_ticks[_short(tick),].inc(0)
        for kind in JOBS:
            for verdict in Verdict:
                self._attempts[kind, verdict.value].inc(0)

    def _counter(self, name: str, *labels: str) -> _Series:
        return _Series(Counter(name, _HELP[name], ("region", *labels), registry=self.registry), self._region)

    def _histogram(self, name: str, *labels: str, buckets: Sequence[float]) -> _Series:
        metric = Histogram(name, _HELP[name], ("region", *labels), buckets=buckets, registry=self.registry)
        return _Series(metric, self._region)

    def claimed(self, jobs: Sequence[Claimed]) -> None:
        """Count nothing: jobs are counted when they are settled."""

    def settled(self, settlements: Sequence[Settlement]) -> None:
        now_ms = time.time() * 1000
        for settlement in settlements:
            self._count(settlement, now_ms)

    def rescued(self, settlements: Sequence[Settlement]) -> None:
        self._rescued[()].inc(len(settlements))
        self.settled(settlements)

    def discarded(self) -> None:
        self._discarded[()].inc()

    def ticked(self, tick: str) -> None:
        self._ticks[_short(tick),].inc()

    def ran_own_tick(self, tick: str) -> None:
        self._own_ticks[_short(tick),].inc()

    def _count(self, settlement: Settlement, now_ms: float) -> None:
        kind = settlement.claimed.job.kind
        verdict = NO_VERDICT
        for attempt in settlement.attempts:
            verdict = attempt.verdict.value
            self._attempts[kind, verdict].inc()
            if attempt.status is not None:
                self._exchange[kind,].observe(attempt.ms / 1000)
        state = _STATE_AFTER[type(settlement.decision.transition)]
        self._jobs[kind, state, verdict].inc()
        if state == "delivered":
            self._delivery[kind,].observe(max(0.0, now_ms - settlement.claimed.enqueued_at) / 1000)


class BeatMetrics:
    """Counts the ticks that one beat sent."""

    def __init__(self, regions: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        labels = ("region", "tick")
        self._sent = Counter(
            "gaugepost_beat_ticks",
            "Ticks this beat sent, or left to those that still wait",
            labels,
            registry=self.registry,
        )
        self._failed = Counter(
            "gaugepost_beat_failures", "Ticks that Redis did not take", labels, registry=self.registry
        )
        ProcessCollector(registry=self.registry)
        for region in regions:
            for tick in TICKS:
                self._sent.labels(region, _short(tick))
                self._failed.labels(region, _short(tick))

    def ticked(self, region: str, tick: str, *, sent: bool) -> None:
        (self._sent if sent else self._failed).labels(region, _short(tick)).inc()


def _short(tick: str) -> str:
    return tick.rpartition(".")[2]


def serve(registry: CollectorRegistry, address: str, port: int, check: Callable[[], Health]) -> None:
    """Serve `http://address:port/metrics` and `/healthz` from a thread of its own. `check` returns the health.

    If the port is taken, it tries again every 5 s: the previous worker may still have it during its warm shutdown, and
    this worker's deliveries must not wait for that.
    """
    threading.Thread(target=_serve, args=(registry, address, port, check), name="metrics", daemon=True).start()


def _serve(registry: CollectorRegistry, address: str, port: int, check: Callable[[], Health]) -> None:
    is_logged = False
    while True:
        try:
            serve_pages(registry, address, port, check)
        except OSError as error:
            if not is_logged:
                log.warning("metrics wait for their port", address=address, port=port, error=error.strerror)
            is_logged = True
            time.sleep(_RETRY_S)
        else:
            log.info("metrics", address=address, port=port)
            return
