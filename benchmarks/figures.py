"""The figures that gaugepost is held to, made from the rows of a run: ours, theirs, the ratio, and its noise.

A ratio is that of the medians. Its noise is the smallest and the largest ratio of turns that belong together, those of
the same round: what else the machine did met both.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.contestants import everybody

if TYPE_CHECKING:
    from benchmarks.measures import Row

US = "gaugepost"
Rounds = Mapping[int, float]
"""Number of a round → what was measured in it."""
SORTS = {one.name: one.sort for one in everybody()}


class Rows:
    """The rows of one run of the harness."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def of(self, part: str, contestant: str | None = None) -> list[Row]:
        return [row for row in self._rows if row["part"] == part and contestant in {None, row["contestant"]}]

    def rounds(self, part: str, contestant: str, key: str) -> Rounds:
        """Return the value of each round; a turn that failed has none."""
        return {row["run"]: float(row[key]) for row in self.of(part, contestant) if key in row}

    def values(self, part: str, contestant: str, key: str) -> list[float]:
        return list(self.rounds(part, contestant, key).values())

    def contestants(self, part: str) -> list[str]:
        """Return who has rows of a part, fastest first where there is a rate."""
        names = dict.fromkeys(row["contestant"] for row in self.of(part))
        return sorted(names, key=lambda name: -median(self.values(part, name, "rate")))

    def best(self, part: str, *, among: Callable[[str], bool]) -> str | None:
        """Return the fastest of some."""
        return next((name for name in self.contestants(part) if among(name)), None)

    def latency(self, contestant: str, q: float) -> Rounds:
        """Return a percentile of each round."""
        return {row["run"]: percentile(row["latency_ms"], q) for row in self.of("latency", contestant)}


def median(values: Iterable[float]) -> float:
    """Return the median; of nothing, 0."""
    found = list(values)
    return statistics.median(found) if found else 0.0


def percentile(values: Sequence[float], q: float) -> float:
    """Return the smallest value that at least a share q of all do not exceed."""
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]


@dataclass(frozen=True)
class Figure:
    """One line of the table: our values, a round each, and theirs; or what is possible, or nothing, to hold against."""

    title: str
    unit: str
    ours: Rounds
    theirs: Rounds
    asked: float
    against: str = ""
    less: bool = False
    """Whether less is better."""
    short: bool = False
    """Whether the README shows it."""
    plain: bool = False
    """Whether our value is asked for, rather than a ratio."""

    @property
    def result(self) -> float:
        ours = median(self.ours.values())
        return ours if self.plain else ours / median(self.theirs.values())

    @property
    def noise(self) -> tuple[float, float]:
        if self.plain:
            return min(self.ours.values()), max(self.ours.values())
        ratios = [self.ours[n] / self.theirs[n] for n in self.ours.keys() & self.theirs.keys()] or [self.result]
        return min(ratios), max(ratios)

    @property
    def reached(self) -> bool:
        return self.result <= self.asked if self.less else self.result >= self.asked


def figures(rows: Rows) -> Iterator[Figure]:
    """Make those figures for which there are rows."""
    for figure in (*_drains(rows), *_enqueues(rows), *_waits(rows), *_scale(rows)):
        if figure.ours and (figure.plain or figure.theirs):
            yield figure


def _drains(rows: Rows) -> Iterator[Figure]:
    def against(part: str, title: str, other: str | None, asked: float, **more: Any) -> Figure:
        theirs = rows.rounds(part, other, "rate") if other else {}
        return Figure(title, "/s", rows.rounds(part, US, "rate"), theirs, asked, other or "", **more)

    peer, celery = (lambda name: SORTS.get(name) == "peer"), (lambda name: name.startswith("celery"))
    drain = "bulk drain, against"
    yield against("drain", f"{drain} the best other queue", rows.best("drain", among=peer), 2, short=True)
    yield against("drain", f"{drain} Celery at its best", rows.best("drain", among=celery), 6, short=True)
    yield against("drain", f"{drain} a bare loop, not durable", "urllib3 loop", 1.2, short=True)
    yield against("drain", f"{drain} the bare limit", "bare limit", 0.5, short=True)
    best = rows.best("singles", among=peer)
    yield against("singles", "enqueued one by one and drained, against the best other queue", best, 1.3, short=True)


def _enqueues(rows: Rows) -> Iterator[Figure]:
    def against(part: str, other: str, title: str, key: str, asked: float, **more: Any) -> Figure:
        unit = " bytes" if key == "bytes" else "/s"
        ours, theirs = (rows.rounds(part, name, key) for name in (US, other))
        return Figure(title, unit, ours, theirs, asked, other, **more)

    celery = "celery prefork"
    yield against("enqueue single", celery, "enqueue one by one, against `apply_async`", "rate", 4, short=True)
    yield against("enqueue bulk", "raw LPUSH", "enqueue in bulk, against raw pipelined LPUSH", "rate", 0.6)
    yield against("enqueue bulk", celery, "Redis' memory for a queued job, against Celery", "bytes", 0.45, less=True)
    trips = rows.rounds("trips", US, "from_clients")
    yield Figure("commands to Redis for a job, bulk, enqueue to settled", "", trips, {}, 0.2, less=True, plain=True)


def _waits(rows: Rows) -> Iterator[Figure]:
    slow = (rows.rounds("slow", US, "sent_rate"), rows.rounds("slow", US, "possible"))
    yield Figure("answers after 200 ms, 256 out at a time, against what that allows", "/s", *slow, 0.95)
    threads = "celery threads"
    for q, name in ((0.5, "p50"), (0.99, "p99")):
        title = f"idle, from enqueue to arrival, {name}, against Celery with threads"
        yield Figure(title, " ms", rows.latency(US, q), rows.latency(threads, q), 1, threads, less=True)


def _scale(rows: Rows) -> Iterator[Figure]:
    longest = max(rows.of("scale"), key=lambda row: row["jobs"], default=None)
    if longest is None:
        return
    jobs = f"{longest['jobs']:,} queued jobs"
    if "last" in longest:
        title = f"{jobs}: drain in the last tenth, against the first"
        yield Figure(title, "/s", {1: longest["last"]}, {1: longest["first"]}, 0.95, short=True)
    title = f"{jobs}: peak memory of a worker process"
    yield Figure(title, " MB", {1: longest["worker_peak_mb"]}, {}, 150, less=True, plain=True)
    title = f"{jobs}: that peak, against its memory after a tenth"
    yield Figure(title, " MB", {1: longest["worker_peak_mb"]}, {1: longest["worker_early_mb"]}, 1.1, less=True)
