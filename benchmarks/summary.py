"""Compute the figures that have goals from the rows of a run: ours, theirs, the ratio, and its noise.

A ratio compares medians. Its noise is the smallest and the largest ratio within one round, because other load on the
machine hits both sides of a round alike.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.targets import all_targets

if TYPE_CHECKING:
    from benchmarks.measures import Row

PRODUCT, PRODUCT_ON_REQUESTS = "gaugepost", "gaugepost (requests)"
Rounds = Mapping[int, float]
"""Number of a round → its value."""
LATENCY_GOALS = {"taskiq": 1.3, "celery threads": 1}
"""Target → the most that gaugepost's idle latency may be, as a multiple of that target's."""
FIELD = {one.name: one for one in all_targets()}


class Rows:
    """The rows of one run. Their field `contestant` names the target."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def of(self, part: str, target: str | None = None) -> list[Row]:
        return [row for row in self._rows if row["part"] == part and target in {None, row["contestant"]}]

    def rounds(self, part: str, target: str, key: str) -> Rounds:
        """Return round → value. A failed turn has none."""
        return {row["run"]: float(row[key]) for row in self.of(part, target) if key in row}

    def values(self, part: str, target: str, key: str) -> list[float]:
        return list(self.rounds(part, target, key).values())

    def targets(self, part: str) -> list[str]:
        """Return the targets that have rows of a part, the fastest first."""
        names = dict.fromkeys(row["contestant"] for row in self.of(part))
        return sorted(names, key=lambda name: -median(self.values(part, name, "rate")))

    def best(self, part: str, *, among: Callable[[str], bool]) -> str | None:
        """Return the fastest target for which `among` is true."""
        return next((name for name in self.targets(part) if among(name)), None)

    def latency(self, target: str, q: float) -> Rounds:
        """Return round → percentile `q` (0 to 1) of the latencies."""
        return {row["run"]: percentile(row["latency_ms"], q) for row in self.of("latency", target)}


def median(values: Iterable[float]) -> float:
    """Return the median; 0 without values."""
    found = list(values)
    return statistics.median(found) if found else 0.0


def percentile(values: Sequence[float], q: float) -> float:
    """Return the smallest value that at least a share q of all do not exceed."""
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]


@dataclass(frozen=True)
class Figure:
    """One line of the table. `theirs`: values of another target, or the possible ones, or none."""

    title: str
    unit: str
    ours: Rounds
    theirs: Rounds
    goal: float | None
    """None: there is no goal."""
    against: str = ""
    lower_is_better: bool = False
    """Whether a lower value is better."""
    absolute: bool = False
    """Whether the goal is for our value, and not for a ratio."""

    @property
    def result(self) -> float:
        ours = median(self.ours.values())
        return ours if self.absolute else ours / median(self.theirs.values())

    @property
    def noise(self) -> tuple[float, float]:
        if self.absolute:
            return min(self.ours.values()), max(self.ours.values())
        ratios = [self.ours[n] / self.theirs[n] for n in self.ours.keys() & self.theirs.keys()] or [self.result]
        return min(ratios), max(ratios)

    @property
    def reached(self) -> bool | None:
        if self.goal is None:
            return None
        return self.result <= self.goal if self.lower_is_better else self.result >= self.goal


def figures(rows: Rows) -> Iterator[Figure]:
    """Yield the figures for which there are rows."""
    for figure in (*_drains(rows), *_enqueues(rows), *_waits(rows), *_scale(rows)):
        if figure.ours and (figure.absolute or figure.theirs):
            yield figure


def is_peer(name: str, *, stock: bool) -> bool:
    """Return whether a target is a peer on stock requests (`stock`) or on our adapter. asyncio counts as both."""
    one = FIELD.get(name)
    client = "requests" if stock else "direct"
    return one is not None and one.role == "peer" and one.client in {client, "aiohttp"}


def _drains(rows: Rows) -> Iterator[Figure]:
    def best(part: str, *, stock: bool, first_word: str = "") -> str:
        return rows.best(part, among=lambda name: is_peer(name, stock=stock) and name.startswith(first_word)) or ""

    def against(title: str, other: str, goal: float | None, *, ours: str = PRODUCT, part: str = "drain") -> Figure:
        theirs = rows.rounds(part, other, "rate")
        return Figure(title, "/s", rows.rounds(part, ours, "rate"), theirs, goal, other)

    for client, ours, stock, goal in (
        ("same client (gaugepost's adapter)", PRODUCT, False, (2.5, 7)),
        ("same client (stock requests)", PRODUCT_ON_REQUESTS, True, (2, 5)),
        ("as each comes", PRODUCT, True, (None, None)),
    ):
        title = f"bulk drain, {client}, against"
        yield against(f"{title} the best other queue", best("drain", stock=stock), goal[0], ours=ours)
        celery = best("drain", stock=stock, first_word="celery")
        yield against(f"{title} Celery at its best", celery, goal[1], ours=ours)
    yield against("bulk drain, Flower's events on, against the bare limit", "bare limit", 0.6)
    yield against("bulk drain, against a bare loop, not durable", "urllib3 loop", 1.2)
    title = "enqueued one by one and drained, same client, against the best other queue"
    yield against(title, best("singles", stock=False), 2, part="singles")


def _enqueues(rows: Rows) -> Iterator[Figure]:
    def against(part: str, other: str, title: str, key: str, goal: float, **more: Any) -> Figure:
        unit = " bytes" if key == "bytes" else "/s"
        ours, theirs = (rows.rounds(part, name, key) for name in (PRODUCT, other))
        return Figure(title, unit, ours, theirs, goal, other, **more)

    celery = "celery prefork"
    yield against("enqueue single", celery, "enqueue one by one, against `apply_async`", "rate", 4)
    yield against("enqueue bulk", "raw LPUSH", "enqueue in bulk, against raw pipelined LPUSH", "rate", 0.6)
    yield against(
        "enqueue bulk", celery, "Redis' memory for a queued job, against Celery", "bytes", 0.45, lower_is_better=True
    )
    trips = rows.rounds("trips", PRODUCT, "from_clients")
    yield Figure(
        "commands to Redis for a job, bulk, enqueue to settled", "", trips, {}, 0.2, lower_is_better=True, absolute=True
    )


def _waits(rows: Rows) -> Iterator[Figure]:
    slow = (rows.rounds("slow", PRODUCT, "sent_rate"), rows.rounds("slow", PRODUCT, "possible"))
    yield Figure("answers after 200 ms, 256 jobs in flight, against the possible rate", "/s", *slow, 0.97)
    for other, goal in LATENCY_GOALS.items():
        for q, name in ((0.5, "p50"), (0.99, "p99")):
            title = f"idle, from enqueue to arrival, {name}, against {other}"
            yield Figure(
                title, " ms", rows.latency(PRODUCT, q), rows.latency(other, q), goal, other, lower_is_better=True
            )


def _scale(rows: Rows) -> Iterator[Figure]:
    longest = max(rows.of("scale"), key=lambda row: row["jobs"], default=None)
    if longest is None:
        return
    jobs = f"{longest['jobs']:,} queued jobs"
    if "last" in longest:
        title = f"{jobs}: drain in the last tenth, against the first"
        yield Figure(title, "/s", {1: longest["last"]}, {1: longest["first"]}, 0.95)
    title = f"{jobs}: peak memory of a worker process"
    yield Figure(title, " MB", {1: longest["worker_peak_mb"]}, {}, 150, lower_is_better=True, absolute=True)
    title = f"{jobs}: that peak, against its memory after a tenth"
    yield Figure(
        title, " MB", {1: longest["worker_peak_mb"]}, {1: longest["worker_early_mb"]}, 1.1, lower_is_better=True
    )
