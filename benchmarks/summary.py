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

from benchmarks.targets import everybody

if TYPE_CHECKING:
    from benchmarks.measures import Row

US, US_REQUESTS = "gaugepost", "gaugepost (requests)"
Rounds = Mapping[int, float]
"""Number of a round → what was measured in it."""
LATENCIES_ASKED = {"taskiq": 1.3, "celery threads": 1}
"""Whose idle latency gaugepost is held against, and how many times it may be."""
FIELD = {one.name: one for one in everybody()}


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
    asked: float | None
    """None: nothing is asked for."""
    against: str = ""
    less: bool = False
    """Whether less is better."""
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
    def reached(self) -> bool | None:
        if self.asked is None:
            return None
        return self.result <= self.asked if self.less else self.result >= self.asked


def figures(rows: Rows) -> Iterator[Figure]:
    """Make those figures for which there are rows."""
    for figure in (*_drains(rows), *_enqueues(rows), *_waits(rows), *_scale(rows)):
        if figure.ours and (figure.plain or figure.theirs):
            yield figure


def is_peer(name: str, *, stock: bool) -> bool:
    """Return whether it is a peer, on its own HTTP client (`stock`) or on our adapter. Those on asyncio are both."""
    one = FIELD.get(name)
    client = "requests" if stock else "direct"
    return one is not None and one.sort == "peer" and one.client in {client, "aiohttp"}


def _drains(rows: Rows) -> Iterator[Figure]:
    def best(part: str, *, stock: bool, first_word: str = "") -> str:
        return rows.best(part, among=lambda name: is_peer(name, stock=stock) and name.startswith(first_word)) or ""

    def against(title: str, other: str, asked: float | None, *, ours: str = US, part: str = "drain") -> Figure:
        theirs = rows.rounds(part, other, "rate")
        return Figure(title, "/s", rows.rounds(part, ours, "rate"), theirs, asked, other)

    for client, ours, stock, asked in (
        ("same client (gaugepost's adapter)", US, False, (2.5, 7)),
        ("same client (stock requests)", US_REQUESTS, True, (2, 5)),
        ("as each comes", US, True, (None, None)),
    ):
        title = f"bulk drain, {client}, against"
        yield against(f"{title} the best other queue", best("drain", stock=stock), asked[0], ours=ours)
        celery = best("drain", stock=stock, first_word="celery")
        yield against(f"{title} Celery at its best", celery, asked[1], ours=ours)
    yield against("bulk drain, Flower's events on, against the bare limit", "bare limit", 0.6)
    yield against("bulk drain, against a bare loop, not durable", "urllib3 loop", 1.2)
    title = "enqueued one by one and drained, same client, against the best other queue"
    yield against(title, best("singles", stock=False), 2, part="singles")


def _enqueues(rows: Rows) -> Iterator[Figure]:
    def against(part: str, other: str, title: str, key: str, asked: float, **more: Any) -> Figure:
        unit = " bytes" if key == "bytes" else "/s"
        ours, theirs = (rows.rounds(part, name, key) for name in (US, other))
        return Figure(title, unit, ours, theirs, asked, other, **more)

    celery = "celery prefork"
    yield against("enqueue single", celery, "enqueue one by one, against `apply_async`", "rate", 4)
    yield against("enqueue bulk", "raw LPUSH", "enqueue in bulk, against raw pipelined LPUSH", "rate", 0.6)
    yield against("enqueue bulk", celery, "Redis' memory for a queued job, against Celery", "bytes", 0.45, less=True)
    trips = rows.rounds("trips", US, "from_clients")
    yield Figure("commands to Redis for a job, bulk, enqueue to settled", "", trips, {}, 0.2, less=True, plain=True)


def _waits(rows: Rows) -> Iterator[Figure]:
    slow = (rows.rounds("slow", US, "sent_rate"), rows.rounds("slow", US, "possible"))
    yield Figure("answers after 200 ms, 256 out at a time, against what that allows", "/s", *slow, 0.97)
    for other, asked in LATENCIES_ASKED.items():
        for q, name in ((0.5, "p50"), (0.99, "p99")):
            title = f"idle, from enqueue to arrival, {name}, against {other}"
            yield Figure(title, " ms", rows.latency(US, q), rows.latency(other, q), asked, other, less=True)


def _scale(rows: Rows) -> Iterator[Figure]:
    longest = max(rows.of("scale"), key=lambda row: row["jobs"], default=None)
    if longest is None:
        return
    jobs = f"{longest['jobs']:,} queued jobs"
    if "last" in longest:
        title = f"{jobs}: drain in the last tenth, against the first"
        yield Figure(title, "/s", {1: longest["last"]}, {1: longest["first"]}, 0.95)
    title = f"{jobs}: peak memory of a worker process"
    yield Figure(title, " MB", {1: longest["worker_peak_mb"]}, {}, 150, less=True, plain=True)
    title = f"{jobs}: that peak, against its memory after a tenth"
    yield Figure(title, " MB", {1: longest["worker_peak_mb"]}, {1: longest["worker_early_mb"]}, 1.1, less=True)
