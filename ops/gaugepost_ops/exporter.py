"""The exporter: looks into every region's ledger when Prometheus asks, by calls that cost the same at any backlog.

One a deployment is enough. It needs neither Celery nor credentials of CustomerGauge. A region whose Redis does not
answer is told as that, and does not keep the others waiting: each is looked at by a thread of its own.
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
from gaugepost.ledger import Hold, Ledger, Vitals
from gaugepost.states import JobState
from gaugepost.transitions import Phase
from gaugepost.verdict import Verdict
from gaugepost_workers.http_pages import serve_pages
from gaugepost_workers.liveness import Health

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gaugepost.forecast import Lane
    from gaugepost.regions import Region
    from gaugepost.settings import Settings

log = structlog.get_logger("gaugepost.exporter")

DEFAULT_PORT = 9464
PERSON = "person"
_PATIENCE_S = 5.0
_VERDICTS = [verdict.value for verdict in Verdict]
_REASONS = (*_VERDICTS, Phase.PROCESSING.value, "breaker", "credentials", "sealed", "hold")
_SCOPES = ("region", "endpoints", "configuration", "credentials")

Row = tuple[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a region found."""

    summary: Mapping[str, Any]
    holds: Sequence[Hold]
    vitals: Vitals
    lanes: Mapping[str, Lane]
    now: float
    took: float


class _Watched:
    """One region, looked at by one thread at a time: a look that hangs is waited for, not repeated."""

    def __init__(self, settings: Settings, region: Region) -> None:
        self.region = str(region)
        self._settings = settings
        self._ledger = Ledger(connect(settings, region), region, settings)
        self._pool = ThreadPoolExecutor(1, f"look-{region}")
        self._look: Future[Look] | None = None
        self._lock = threading.Lock()

    def ask(self) -> Future[Look]:
        with self._lock:
            if self._look is None or self._look.done():
                self._look = self._pool.submit(self._read)
            return self._look

    def _read(self) -> Look:
        started = time.monotonic()
        return Look(
            summary=self._ledger.summary(),
            holds=list(self._ledger.holds().values()),
            vitals=self._ledger.vitals(),
            lanes={lane: self._ledger.upload_lane(lane) for lane in self._ledger.upload_lanes()},
            now=time.time(),
            took=time.monotonic() - started,
        )


class LedgerCollector(Collector):
    """Gives Prometheus the figures of all regions, looked at anew for each scrape."""

    def __init__(self, settings: Settings) -> None:
        self._watched = [_Watched(settings, region) for region in settings.regions]
        self._limit = settings.backlog_limit
        self._content_limit = settings.content_limit

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Name nothing: a look at start would make the exporter wait for Redis."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Look at all regions, and tell."""
        looks = {watched.region: watched.ask() for watched in self._watched}
        wait(looks.values(), _PATIENCE_S)
        found = {region: _found(region, look) for region, look in looks.items()}
        yield _family(
            "redis_up", "Whether the region's Redis answered (1), or not within 5 s, or with an error (0)", ("region",),
            [((region,), float(look is not None)) for region, look in found.items()],
        )  # fmt: skip
        seen = {region: look for region, look in found.items() if look is not None}
        yield from _jobs(seen)
        yield from _stop_signs(seen)
        yield from _uploads(seen)
        yield from self._life(seen)

    def _life(self, seen: Mapping[str, Look]) -> Iterator[GaugeMetricFamily]:
        for name, about, value in _LIFE:
            told = [((region,), value(look)) for region, look in seen.items()]
            yield _family(name, about, ("region",), [(of, float(number)) for of, number in told if number is not None])
        for name, about, limit in (
            ("backlog_limit", "BACKLOG_LIMIT", self._limit),
            ("content_limit_bytes", "CONTENT_LIMIT", self._content_limit),
        ):
            yield _family(name, about, ("region",), [((region,), float(limit)) for region in seen])


_LIFE = (
    ("backlog", "Jobs that count against BACKLOG_LIMIT", lambda look: _backlog(look.summary)),
    ("workers", "Worker processes that claimed within two leases", lambda look: look.vitals.workers),
    ("worker_threads", "Exchanges that these may have at a time", lambda look: look.vitals.threads),
    ("concurrency_limit", "Jobs that may be out after a throttling; 0: as many as there are workers for",
     lambda look: look.summary["concurrency_limit"] or 0),
    ("ticked_ago_seconds", "Since a worker last did the work of a tick; Inf: never",
     lambda look: look.vitals.promoted_ago),
    ("beat_ago_seconds", "Since beat last ticked; Inf: never", lambda look: look.vitals.beat_ago),
    ("ticks_waiting", "Ticks that no worker has read", lambda look: look.vitals.ticks_waiting),
    ("parked_late_seconds", "How long ago the first parked job should have been let go",
     lambda look: look.vitals.parked_late),
    ("leases_late_seconds", "How long ago the first lost job should have been rescued",
     lambda look: look.vitals.leases_late),
    ("oldest_urgent_age_seconds", "Since the oldest queued urgent job was enqueued; 0: there is none",
     lambda look: look.vitals.urgent or 0.0),
    ("token_left_seconds", "Until the shared access token ends; 0: there is none", lambda look: look.vitals.token_left),
    ("token_age_seconds", "Since the shared access token was fetched; not there if there is none",
     lambda look: look.vitals.token_age),
    ("token_generation", "Access tokens fetched so far, by all workers", lambda look: look.vitals.token_generation),
    ("content_bytes", "Bytes that stored file contents take", lambda look: look.vitals.content_bytes),
    ("redis_memory_bytes", "used_memory of the region's Redis", lambda look: look.vitals.memory),
    ("redis_memory_limit_bytes", "maxmemory of the region's Redis; 0: none is set",
     lambda look: look.vitals.memory_limit),
    ("look_seconds", "How long this look at the region took", lambda look: look.took),
)  # fmt: skip


def _found(region: str, look: Future[Look]) -> Look | None:
    """Return what a look found; None if it did not end in time, or Redis could not be reached, or refused it."""
    if not look.done():
        log.warning("Redis does not answer", region=region)
        return None
    try:
        return look.result()
    except StoreError as error:
        log.warning("Redis gives no figures", region=region, error=str(error))
        return None


def _family(name: str, about: str, labels: Sequence[str], rows: Iterable[Row]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"gaugepost_{name}", about, labels=labels)
    for told, value in rows:
        family.add_metric(told, value)
    return family


def _by(seen: Mapping[str, Look], names: Iterable[str], count: str) -> Iterator[Row]:
    """Count by bounded names: those that are not ours are one, and all are there, with 0 too."""
    known = list(names)
    for region, look in seen.items():
        counted: Counter[str] = Counter()
        for told, number in look.summary[count].items():
            counted[bounded(told, known)] += number
        for name in [*known, *(["other"] if "other" in counted else [])]:
            yield (region, name), float(counted[name])


def bounded(told: str, known: Sequence[str]) -> str:
    """Return the word that stands for a reason: what a person wrote, or a name inside it, never becomes a label."""
    if told in known:
        return told
    for word in ("breaker", "sealed"):
        if word in known and told.startswith(word):
            return word
    if "credentials" in known and told.endswith(" is not set"):
        return "credentials"
    return "hold" if "hold" in known else "other"


def _jobs(seen: Mapping[str, Look]) -> Iterator[GaugeMetricFamily]:
    yield _family(
        "ledger_jobs", "Jobs on the ledger by state", ("region", "state"),
        [((region, state), look.summary[state]) for region, look in seen.items() for state in map(str, JobState)],
    )  # fmt: skip
    yield _family(
        "parked_jobs", "Parked jobs by reason; `hold`: in the words of whoever put it up", ("region", "reason"),
        _by(seen, _REASONS, "parked_by_reason"),
    )  # fmt: skip
    yield _family(
        "dead_jobs", "Dead jobs by verdict", ("region", "verdict"), _by(seen, _VERDICTS, "dead_by_verdict"),
    )  # fmt: skip
    open_states = (JobState.QUEUED, JobState.WAITING, JobState.SENDING, JobState.PARKED, JobState.UNKNOWN)
    yield _family(
        "oldest_job_age_seconds", "Since the oldest job of this state was enqueued; 0: there is none",
        ("region", "state"),
        [((region, str(s)), look.vitals.oldest.get(s, 0.0)) for region, look in seen.items() for s in open_states],
    )  # fmt: skip


def about(hold: Hold) -> str:
    """Tell what a hold is about, in a word: the verdict that put it up, or a person."""
    return PERSON if hold.verdict is None else hold.verdict


def _stop_signs(seen: Mapping[str, Look]) -> Iterator[GaugeMetricFamily]:
    counts: dict[tuple[str, str, str], int] = {}
    since: dict[tuple[str, str, str], float] = {}
    for region, look in seen.items():
        for scope in _SCOPES:
            counts |= dict.fromkeys([(region, scope, told) for told in _about(scope)], 0)
        for hold in look.holds:
            key = (region, hold.scope.partition(":")[0] or "region", about(hold))
            counts[key] = counts.get(key, 0) + 1
            since[key] = max(since.get(key, 0.0), look.now - hold.since / 1000)
    labels = ("region", "scope", "about")
    yield _family("holds", "Holds that stand, by what they stop and what they are about", labels, counts.items())
    yield _family("hold_age_seconds", "Since the oldest hold of this sort stands", labels, since.items())


def _about(scope: str) -> tuple[str, ...]:
    match scope:
        case "region":
            return (PERSON, Verdict.REFUSED_CREDENTIALS, Verdict.THROTTLED, Verdict.SERVER_ERROR)
        case "endpoints":
            return (PERSON, Verdict.THROTTLED)
        case "configuration":
            return (PERSON, Verdict.UNKNOWN_MAPPING, Verdict.WRONG_MAPPING_TYPE, Verdict.MAPPING_DRIFT)
        case _:
            return (
                PERSON, Verdict.REFUSED_CREDENTIALS, Verdict.UNREACHABLE, Verdict.SERVER_ERROR, Verdict.THROTTLED,
            )  # fmt: skip


def _uploads(seen: Mapping[str, Look]) -> Iterator[GaugeMetricFamily]:
    lanes = [((region, name), lane) for region, look in seen.items() for name, lane in look.lanes.items()]
    labels = ("region", "lane")
    yield _family("files_waiting", "Files that wait for a slot", labels, [(told, lane.ahead) for told, lane in lanes])
    yield _family(
        "next_slot_seconds", "Until the next upload may start; 0: now", labels,
        [(told, _slot_in(lane)) for told, lane in lanes],
    )  # fmt: skip


def _slot_in(lane: Lane) -> float:
    return 0.0 if lane.last_start is None else max(0.0, (lane.last_start + lane.interval - lane.now) / 1000)


def _backlog(summary: Mapping[str, Any]) -> int:
    return int(summary["queued"] + summary["waiting"] + summary["parked"])


def run(settings: Settings, port: int | None) -> int:
    """Show metrics until a signal; return the exit code."""
    registry = CollectorRegistry()
    registry.register(LedgerCollector(settings))
    ProcessCollector(registry=registry)
    ended: SimpleQueue[None] = SimpleQueue()  # not an Event, whose lock a signal's handler may not take
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
