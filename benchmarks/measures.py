"""Measure one turn. Each function returns a row of plain figures for `report.py`."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.harness import Failed, Meter, Monitor, Turn
from benchmarks.targets import SLOTS_AT_LIMIT

Row = dict[str, Any]

SAMPLE_SETTLE_S = 0.5
SLOW_MS = 200


def drain(turn: Turn, mode: str, jobs: int, latency_ms: float = 0, within_s: float = 120) -> Row:
    """Enqueue jobs while workers deliver them. The rate is from the first enqueue to the last settled job."""
    turn.stub.reset(latency_ms)
    before, meter = turn.settled(), Meter(turn)
    producer = turn.start_producer(mode, jobs)
    try:
        turn.wait(before + jobs, within_s)
        ended_ns = time.monotonic_ns()
    finally:
        produced = turn.result_of(producer)
    figures = meter.read(jobs, produced)
    stats = turn.stub.stats()
    check(stats, jobs)
    sending_s = (stats["last_ns"] - stats["first_ns"]) / 1e9 + latency_ms / 1000
    figures |= {"rate": jobs / ((ended_ns - produced["began_ns"]) / 1e9), "sent_rate": jobs / max(sending_s, 1e-9)}
    return figures | {"most_open": stats["most_open"] - 1, "jobs": jobs}


def check(stats: dict[str, int], jobs: int) -> None:
    """Raise Failed unless the stub received each job exactly once, and correct."""
    if (stats["arrived"], stats["distinct"], stats["faulty"]) != (jobs, jobs, 0):
        raise Failed(f"{jobs} jobs were enqueued, the stub saw {stats}")


def from_clients(turn: Turn, mode: str, jobs: int) -> Row:
    """Count the commands of clients for a job, enqueue included, without commands inside scripts."""
    turn.stub.reset()
    before = turn.settled()
    with Monitor(turn) as monitor:
        turn.produce(mode, jobs)
        turn.wait(before + jobs, 120, pause_s=0.1)
        time.sleep(SAMPLE_SETTLE_S)
    counted = {name: round(count / jobs, 3) for name, count in monitor.from_clients.most_common(8)}
    return {"jobs": jobs, "from_clients": sum(monitor.from_clients.values()) / jobs, "which": counted}


def at_limit(turn: Turn, jobs: int) -> Row:
    """Deliver jobs to a slow receiver. `possible` is the rate that the limit of jobs in flight allows."""
    row = drain(turn, "bulk", jobs, SLOW_MS)
    return row | {"possible": SLOTS_AT_LIMIT / (SLOW_MS / 1000)}


def latency(turn: Turn, jobs: int) -> Row:
    """Enqueue one job at a time on an idle system. Latencies are from before the enqueue to the arrival, in ms."""
    turn.stub.reset()
    before = turn.settled()
    produced = turn.produce("latency", jobs)
    turn.wait(before + jobs, 60)
    check(turn.stub.stats(), jobs)
    return {"jobs": jobs, "latency_ms": [round(ms, 3) for ms in produced["latency_ms"]]}


def enqueue(turn: Turn, mode: str, jobs: int) -> Row:
    """Enqueue without workers. `bytes` is the growth of Redis' memory for each job."""
    turn.client.flushall()
    turn.produce(mode, 1)  # stored once for any number of jobs: scripts, bindings
    before, commands = turn.redis_bytes(), turn.commands()
    produced = turn.produce(mode, jobs)
    seconds = (produced["ended_ns"] - produced["began_ns"]) / 1e9
    figures = {"jobs": jobs, "rate": jobs / seconds, "bytes": (turn.redis_bytes() - before) / jobs}
    figures |= {"commands": (turn.commands() - commands) / jobs, "producer_cpu_s": produced["cpu_s"] * 1000 / jobs}
    return figures | {"producer_peak_mb": produced["peak_mb"]}
