"""What a region did in the last hour and the last day: jobs delivered and dead, jobs that waited, and their latency.

`sweep` records each minute when it has ended (record_history.lua), and each quarter of an hour. So the console draws
its charts without Prometheus.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gaugepost.errors import StoreFull
from gaugepost.ledger.scripts import Call, our_errors

if TYPE_CHECKING:
    import redis

    from gaugepost.keys import Keys
    from gaugepost.ledger.scripts import Runner

_MINUTES, _QUARTERS = 60, 96


@dataclass(frozen=True, slots=True)
class Period:
    """A minute or a quarter of an hour in which a region worked.

    `at`: its start, Unix ms. `delivered`, `dead`: jobs that ended so; a dead job that was replayed soon after may be
    missing. `waiting`: queued, waiting and parked jobs at its end (of a quarter: the most at the end of a minute); jobs
    that wait for their deliver_at do not count. None: not recorded, because no worker ran then. `p50_s`, `p95_s`:
    seconds from enqueue, or from deliver_at, until half and 95 % of the delivered jobs were delivered, to about a
    tenth; None: no job was delivered.
    """

    at: int
    delivered: int
    dead: int
    waiting: int | None
    p50_s: float | None
    p95_s: float | None


@dataclass(frozen=True, slots=True)
class RegionHistory:
    """The last hour by minutes and the last day by quarters of an hour, oldest first.

    Periods may be missing, and the last one may be hours ago, if no worker ran. `now`: Redis' time, Unix ms.
    """

    now: int
    minutes: tuple[Period, ...]
    quarters: tuple[Period, ...]


def record_history(keys: Keys) -> Call[bool]:
    """Record the minutes that have ended. Return whether more of them can be recorded now."""
    return Call("record_history", (keys.prefix,), (), bool)


def record_minutes(run: Runner, keys: Keys) -> None:
    """Record all minutes that have ended. A full Redis records none: the history then has a gap."""
    with suppress(StoreFull):
        while run(record_history(keys)):
            pass


def read_history(client: redis.Redis, keys: Keys) -> RegionHistory:
    """Read the history of a region. Raises StoreError."""
    with our_errors():
        pipe: Any = client.pipeline(transaction=False)
        pipe.time()
        pipe.lrange(keys["history_minutes"], 0, _MINUTES - 1)
        pipe.lrange(keys["history_quarters"], 0, _QUARTERS - 1)
        (seconds, micros), minutes, quarters = pipe.execute()
    return RegionHistory(seconds * 1000 + micros // 1000, _periods(minutes), _periods(quarters))


def _periods(rows: list[bytes]) -> tuple[Period, ...]:
    return tuple(_period(row) for row in reversed(rows))


@lru_cache(1024)
def _period(text: bytes) -> Period:
    """Parse a row. The console reads each of them every second, and none changes once it is written."""
    row = json.loads(text)
    latency = sorted((int(bucket), number) for bucket, number in dict(row["latency"]).items())
    waiting = None if row.get("waiting") is None else int(row["waiting"])
    half, most = _percentile(latency, 0.5), _percentile(latency, 0.95)
    return Period(int(row["at"]), int(row["delivered"]), int(row["dead"]), waiting, half, most)


def _percentile(latency: list[tuple[int, float]], share: float) -> float | None:
    """Return the middle of the bucket in which this share of the jobs is reached, in seconds."""
    left = share * sum(number for _, number in latency)
    for bucket, number in latency:
        left -= number
        if left <= 0:
            return float(2 ** ((bucket + 0.5) / 4)) / 1000
    return None
