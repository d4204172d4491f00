"""What is measured of one turn. Each measure returns a row: plain figures, which `report.py` puts side by side."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.harness import Failed, Meter, Monitor, Turn
from benchmarks.targets import SLOTS_AT_LIMIT

Row = dict[str, Any]

SAMPLE_SETTLE_S = 0.5
SLOW_MS = 200


def drain(turn: Turn, mode: str, jobs: int, latency_ms: float = 0, within_s: float = 120) -> Row:
    """Have jobs enqueued and done at once; the rate is from the first enqueue until the last one is settled."""
    turn.stub.reset(latency_ms)
    before, meter = turn.settled(), Meter(turn)
    producer = turn.producing(mode, jobs)
    try:
        turn.wait(before + jobs, within_s)
        ended_ns = time.monotonic_ns()
    finally:
        told = turn.told(producer)
    figures = meter.read(jobs, told)
    stats = turn.stub.stats()
    check(stats, jobs)
    sending_s = (stats["last_ns"] - stats["first_ns"]) / 1e9 + latency_ms / 1000
    figures |= {"rate": jobs / ((ended_ns - told["began_ns"]) / 1e9), "sent_rate": jobs / max(sending_s, 1e-9)}
    return figures | {"most_open": stats["most_open"] - 1, "jobs": jobs}


def check(stats: dict[str, int], jobs: int) -> None:
    """Hold the stub's count against what was enqueued. Raises Failed."""
    if (stats["arrived"], stats["distinct"], stats["faulty"]) != (jobs, jobs, 0):
        raise Failed(f"{jobs} jobs were enqueued, the stub saw {stats}")


def from_clients(turn: Turn, mode: str, jobs: int) -> Row:
    """Count the commands that clients send for a job, enqueue included; what scripts do inside Redis does not count."""
    turn.stub.reset()
    before = turn.settled()
    with Monitor(turn) as monitor:
        turn.produce(mode, jobs)
        turn.wait(before + jobs, 120, pause_s=0.1)
        time.sleep(SAMPLE_SETTLE_S)
    counted = {name: round(count / jobs, 3) for name, count in monitor.from_clients.most_common(8)}
    return {"jobs": jobs, "from_clients": sum(monitor.from_clients.values()) / jobs, "which": counted}


def at_limit(turn: Turn, jobs: int) -> Row:
    """Have jobs done by a receiver that takes its time, against what the limit on jobs out at a time allows."""
    row = drain(turn, "bulk", jobs, SLOW_MS)
    return row | {"possible": SLOTS_AT_LIMIT / (SLOW_MS / 1000)}


def latency(turn: Turn, jobs: int) -> Row:
    """Enqueue one job at a time, with nothing else to do: ms from just before the enqueue to its arrival."""
    turn.stub.reset()
    before = turn.settled()
    told = turn.produce("latency", jobs)
    turn.wait(before + jobs, 60)
    check(turn.stub.stats(), jobs)
    return {"jobs": jobs, "latency_ms": [round(ms, 3) for ms in told["latency_ms"]]}


def enqueue(turn: Turn, mode: str, jobs: int) -> Row:
    """Enqueue with no worker running; Redis' bytes are those it has more of afterwards."""
    turn.client.flushall()
    turn.produce(mode, 1)  # what is there once, whatever the number: scripts, bindings
    before, commands = turn.redis_bytes(), turn.commands()
    told = turn.produce(mode, jobs)
    seconds = (told["ended_ns"] - told["began_ns"]) / 1e9
    figures = {"jobs": jobs, "rate": jobs / seconds, "bytes": (turn.redis_bytes() - before) / jobs}
    figures |= {"commands": (turn.commands() - commands) / jobs, "producer_cpu_s": told["cpu_s"] * 1000 / jobs}
    return figures | {"producer_peak_mb": told["peak_mb"]}
