"""The exporter: serves the state of every region's ledger to Prometheus, by calls that cost the same at any backlog.

One exporter in a deployment is enough. It needs neither Celery nor credentials of CustomerGauge. Each region is read in
its own thread, so a Redis that does not answer does not delay the others; `gaugepost_redis_up` is 0 for that region.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gaugepost.connection import connect
from gaugepost.errors import StoreError
from gaugepost.ledger import Hold, Ledger, RegionStatistics
from gaugepost.states import JobState
from gaugepost.transitions import Phase
from gaugepost.verdict import Verdict
from gaugepost_ops.webhook_metrics import WebhookFigures, webhook_families
from gaugepost_workers.http_pages import serve_pages
from gaugepost_workers.liveness import Health

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from gaugepost.forecast import Lane
    from gaugepost.regions import Region
    from gaugepost.settings import Settings

log = structlog.get_logger("gaugepost.exporter")

DEFAULT_PORT = 9464
PERSON, CANARY = "person", "canary"
_TIMEOUT_S = 5.0
_VERDICTS = [verdict.value for verdict in Verdict]
_REASONS = (*_VERDICTS, Phase.PROCESSING.value, "breaker", "credentials", "sealed", "scheduled", "hold")
_SCOPES = ("region", "endpoints", "configuration", "credentials", "batch")

Row = tuple[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Reading:
    """The figures of one region, read for one scrape. `took`: how long that took (s); `now`: Unix time (s)."""

    summary: Mapping[str, Any]
    holds: Sequence[Hold]
    statistics: RegionStatistics
    lanes: Mapping[str, Lane]
    webhooks: WebhookFigures
    now: float
    took: float


class _RegionReader:
    """Reads one region in its own thread. While a reading runs, `read` returns that one and starts no other."""

    def __init__(self, settings: Settings, region: Region) -> None:
        self.region = str(region)
        self._settings = settings
        self._ledger = Ledger(connect(settings, region), region, settings)
        self._pool = ThreadPoolExecutor(1, f"look-{region}")
        self._pending: Future[Reading] | None = None
        self._lock = threading.Lock()

    def read(self) -> Future[Reading]:
        with self._lock:
            if self._pending is None or self._pending.done():
                self._pending = self._pool.submit(self._read)
            return self._pending

    def _read(self) -> Reading:
        started = time.monotonic()
        return Reading(
            summary=self._ledger.summary(),
            holds=list(self._ledger.holds().values()),
            statistics=self._ledger.statistics(),
            lanes={lane: self._ledger.upload_lane(lane) for lane in self._ledger.upload_lanes()},
            webhooks=WebhookFigures.of(self._ledger.webhooks.read()),
            now=time.time(),
            took=time.monotonic() - started,
        )


class LedgerCollector(Collector):
    """Reads all regions for each scrape."""

    def __init__(self, settings: Settings) -> None:
        self._readers = [_RegionReader(settings, region) for region in settings.regions]
        self._limit = settings.backlog_limit
        self._content_limit = settings.content_limit

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Describe no metrics. Otherwise prometheus-client reads all regions at the start, and waits for Redis."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read all regions, and yield their metrics."""
        readings = {reader.region: reader.read() for reader in self._readers}
        wait(readings.values(), _TIMEOUT_S)
        found = {region: _result(region, reading) for region, reading in readings.items()}
        yield _family(
            "redis_up", "1: the region's Redis answered; 0: it failed, or took longer than 5 s", ("region",),
            [((region,), float(reading is not None)) for region, reading in found.items()],
        )  # fmt: skip
        seen = {region: reading for region, reading in found.items() if reading is not None}
        yield from _jobs(seen)
        yield from _holds(seen)
        yield from _uploads(seen)
        yield from webhook_families({region: of.webhooks for region, of in seen.items()})
        yield from self._gauges(seen)

    def _gauges(self, seen: Mapping[str, Reading]) -> Iterator[GaugeMetricFamily]:
        for name, about, value in _GAUGES:
            values = [((region,), value(reading)) for region, reading in seen.items()]
            yield _family(
                name, about, ("region",), [(of, float(number)) for of, number in values if number is not None]
            )
        for name, about, limit in (
            ("backlog_limit", "BACKLOG_LIMIT", self._limit),
            ("content_limit_bytes", "CONTENT_LIMIT", self._content_limit),
        ):
            yield _family(name, about, ("region",), [((region,), float(limit)) for region in seen])


_GAUGES: tuple[tuple[str, str, Callable[[Reading], float | None]], ...] = (
    ("backlog", "Jobs that count against BACKLOG_LIMIT", lambda of: _backlog(of.summary)),
    ("workers", "Worker processes that claimed within two leases", lambda of: of.statistics.workers),
    ("worker_threads", "Requests that these workers can run at a time", lambda of: of.statistics.threads),
    ("concurrency_limit", "Requests allowed at a time after a throttling; 0: no limit",
     lambda of: of.summary["concurrency_limit"] or 0),
    ("ticked_ago_seconds", "Time since a worker last ran a tick; Inf: never", lambda of: of.statistics.promoted_ago),
    ("beat_ago_seconds", "Time since beat last ticked; Inf: never", lambda of: of.statistics.beat_ago),
    ("ticks_waiting", "Ticks that no worker has read", lambda of: of.statistics.ticks_waiting),
    ("parked_late_seconds", "How late the first parked job is that should have been released",
     lambda of: of.statistics.parked_late),
    ("leases_late_seconds", "How late the first job is that should have been rescued",
     lambda of: of.statistics.leases_late),
    ("oldest_urgent_age_seconds", "Time since the oldest queued urgent job was enqueued; 0: there is none",
     lambda of: of.statistics.urgent or 0.0),
    ("token_left_seconds", "Time until the shared access token expires; 0: there is none",
     lambda of: of.statistics.token_left),
    ("token_age_seconds", "Time since the shared access token was fetched; absent if there is none",
     lambda of: of.statistics.token_age),
    ("token_generation", "Access tokens fetched so far, by all workers", lambda of: of.statistics.token_generation),
    ("content_bytes", "Bytes of stored file contents", lambda of: of.statistics.content_bytes),
    ("redis_memory_bytes", "used_memory of the region's Redis", lambda of: of.statistics.memory),
    ("redis_memory_limit_bytes", "maxmemory of the region's Redis; 0: none is set",
     lambda of: of.statistics.memory_limit),
    ("look_seconds", "How long it took to read the region", lambda of: of.took),
)  # fmt: skip


def _result(region: str, reading: Future[Reading]) -> Reading | None:
    """Return the reading; None if it did not end in time, or if Redis failed or refused it."""
    if not reading.done():
        log.warning("Redis does not answer", region=region)
        return None
    try:
        return reading.result()
    except StoreError as error:
        log.warning("Redis gives no figures", region=region, error=str(error))
        return None


def _family(name: str, about: str, labels: Sequence[str], rows: Iterable[Row]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"gaugepost_{name}", about, labels=labels)
    for label_values, value in rows:
        family.add_metric(label_values, value)
    return family


def _counts(seen: Mapping[str, Reading], names: Iterable[str], count: str) -> Iterator[Row]:
    """Yield the count of each of `names`, 0 too, and the sum of all others as one more name."""
    known = list(names)
    for region, reading in seen.items():
        counted: Counter[str] = Counter()
        for reason, number in reading.summary[count].items():
            counted[bounded(reason, known)] += number
        for name in [*known, *(["other"] if "other" in counted else [])]:
            yield (region, name), float(counted[name])


def bounded(reason: str, known: Sequence[str]) -> str:
    """Return the label for a reason: one of `known`, `hold` or `other`.

    A reason may be the text of a person or contain a name, and such texts must never become labels.
    """
    if reason in known:
        return reason
    for word in ("breaker", "sealed"):
        if word in known and reason.startswith(word):
            return word
    if "credentials" in known and reason.endswith(" is not set"):
        return "credentials"
    return "hold" if "hold" in known else "other"


def _jobs(seen: Mapping[str, Reading]) -> Iterator[GaugeMetricFamily]:
    yield _family(
        "ledger_jobs", "Jobs on the ledger by state", ("region", "state"),
        [((region, state), reading.summary[state]) for region, reading in seen.items() for state in map(str, JobState)],
    )  # fmt: skip
    yield _family(
        "parked_jobs", "Parked jobs by reason; `hold`: a hold whose reason is a person's text", ("region", "reason"),
        _counts(seen, _REASONS, "parked_by_reason"),
    )  # fmt: skip
    yield _family(
        "dead_jobs", "Dead jobs by verdict", ("region", "verdict"), _counts(seen, _VERDICTS, "dead_by_verdict"),
    )  # fmt: skip
    open_states = (JobState.QUEUED, JobState.WAITING, JobState.SENDING, JobState.PARKED, JobState.UNKNOWN)
    yield _family(
        "oldest_job_age_seconds", "Time since the oldest job of this state was enqueued; 0: there is none",
        ("region", "state"),
        [((region, str(s)), of.statistics.oldest.get(s, 0.0)) for region, of in seen.items() for s in open_states],
    )  # fmt: skip


def about(hold: Hold) -> str:
    """Return what opened a hold: the verdict, `canary`, or `person`."""
    return CANARY if hold.label == CANARY else PERSON if hold.verdict is None else hold.verdict


def _holds(seen: Mapping[str, Reading]) -> Iterator[GaugeMetricFamily]:
    counts: dict[tuple[str, str, str], int] = {}
    since: dict[tuple[str, str, str], float] = {}
    for region, reading in seen.items():
        for scope in _SCOPES:
            counts |= dict.fromkeys([(region, scope, opener) for opener in _about(scope)], 0)
        for hold in reading.holds:
            key = (region, hold.scope.partition(":")[0] or "region", about(hold))
            counts[key] = counts.get(key, 0) + 1
            since[key] = max(since.get(key, 0.0), reading.now - hold.since / 1000)
    labels = ("region", "scope", "about")
    yield _family("holds", "Holds, by what they stop (scope) and what opened them (about)", labels, counts.items())
    yield _family("hold_age_seconds", "Time since the oldest of these holds was opened", labels, since.items())


def _about(scope: str) -> tuple[str, ...]:
    match scope:
        case "region":
            return (PERSON, Verdict.REFUSED_CREDENTIALS, Verdict.THROTTLED, Verdict.SERVER_ERROR)
        case "endpoints":
            return (PERSON, Verdict.THROTTLED)
        case "batch":
            return (CANARY,)
        case "configuration":
            return (PERSON, Verdict.UNKNOWN_MAPPING, Verdict.WRONG_MAPPING_TYPE, Verdict.MAPPING_DRIFT)
        case _:
            return (
                PERSON, Verdict.REFUSED_CREDENTIALS, Verdict.UNREACHABLE, Verdict.SERVER_ERROR, Verdict.THROTTLED,
            )  # fmt: skip


def _uploads(seen: Mapping[str, Reading]) -> Iterator[GaugeMetricFamily]:
    lanes = [((region, name), lane) for region, reading in seen.items() for name, lane in reading.lanes.items()]
    labels = ("region", "lane")
    yield _family("files_waiting", "Files that wait for a slot", labels, [(of, lane.ahead) for of, lane in lanes])
    yield _family(
        "next_slot_seconds", "Time until the next upload may start; 0: now", labels,
        [(of, _slot_in(lane)) for of, lane in lanes],
    )  # fmt: skip


def _slot_in(lane: Lane) -> float:
    return 0.0 if lane.last_start is None else max(0.0, (lane.last_start + lane.interval - lane.now) / 1000)


def _backlog(summary: Mapping[str, Any]) -> int:
    return int(summary["queued"] + summary["waiting"] + summary["parked"])


def run(settings: Settings, port: int | None) -> int:
    """Serve metrics until SIGTERM or SIGINT. Return the exit code."""
    registry = CollectorRegistry()
    registry.register(LedgerCollector(settings))
    ProcessCollector(registry=registry)
    ended: SimpleQueue[None] = SimpleQueue()  # not an Event: a signal handler that needs its lock may block for ever
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.put(None))
    address, port = settings.metrics_address, port or settings.metrics_port or DEFAULT_PORT
    try:
        server = serve_pages(registry, address, port, lambda: Health(well=True, why="answers"))
    except OSError as error:
        log.error("metrics cannot be shown", address=address, port=port, error=error.strerror)  # noqa: TRY400
        return 1
    log.info("metrics", address=address, port=port, regions=[str(region) for region in settings.regions])
    ended.get()
    server.shutdown()
    return 0
