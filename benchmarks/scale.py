"""Measure whether costs grow with the length of the queue: gaugepost over 1,000 to 1,000,000 queued jobs.

For each size: enqueue without workers; claim and settle a few batches by hand; run `status` and `jobs`; then let a
worker of two processes and a beat drain the queue. Last, many parked jobs are due at the same moment.
"""

from __future__ import annotations

import statistics
import subprocess
import time
import uuid
from typing import TYPE_CHECKING, Any

from benchmarks import machine
from benchmarks.harness import Failed, Turn
from benchmarks.measures import Row, check
from gaugepost import Region, Settings
from gaugepost.connection import connect
from gaugepost.ledger import Settlement, WorkerLedger
from gaugepost.transitions import Attempt, Decision, Delivered, Parked
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.transitions import Transition

BATCH = 100
DRAIN_S = 600
RAMP = 0.02
"""Share of a drain to leave out at its start, because processes start one after another."""
TENTHS_FROM = 50_000
"""The fewest jobs for which the rate of a tenth means something."""


class CallTimer:
    """Claims and settles as a worker does, and times both calls."""

    def __init__(self, turn: Turn) -> None:
        settings = Settings.load(redis_url=turn.redis.url)
        self.ledger = WorkerLedger(connect(settings, Region.EU), Region.EU, settings)
        self.claim_us: list[float] = []
        self.settle_us: list[float] = []

    def batch(self, transition: Transition) -> int:
        """Claim a batch and settle it with this transition. Return its number of jobs."""
        began = time.perf_counter()
        jobs = self.ledger.claim("bench", uuid.uuid4().hex, BATCH, BATCH).jobs
        claimed = time.perf_counter()
        decision = Decision(transition)
        attempts = (Attempt(n=1, at=int(time.time() * 1000), ms=5, status=200, verdict=Verdict.DELIVERED),)
        settlements = [Settlement(job, decision, attempts) for job in jobs]
        settling = time.perf_counter()
        self.ledger.settle(settlements)
        if jobs:
            self.claim_us.append((claimed - began) * 1e6 / len(jobs))
            self.settle_us.append((time.perf_counter() - settling) * 1e6 / len(jobs))
        return len(jobs)


def size(turn: Turn, jobs: int, log: Callable[[str], None]) -> Row:
    """Measure everything for one length of the queue."""
    turn.produce("bulk", 1)  # stored once for any number of jobs
    _watch_longest(turn)
    before = turn.redis_bytes()
    report = turn.produce("bulk", jobs - 1, within_s=DRAIN_S)
    seconds = (report["ended_ns"] - report["began_ns"]) / 1e9
    row = {
        "jobs": jobs,
        "bytes": (turn.redis_bytes() - before) / jobs,
        "enqueue_s": seconds,
        "producer_mb": report["peak_mb"],
    }
    log(f"{jobs:,} enqueued in {seconds:.1f} s")
    row |= timed_calls(turn, min(20, jobs // BATCH // 5)) | timed_commands(turn)
    row |= timed_drain(turn, jobs - turn.settled(), log)
    return row | {"longest_ms": _longest_ms(turn)}


def timed_calls(turn: Turn, batches: int) -> Row:
    """Claim and settle batches. Return µs for each job."""
    timer = CallTimer(turn)
    for _ in range(max(1, batches)):
        timer.batch(Delivered())
    summaries = [_timed(timer.ledger.summary) * 1000 for _ in range(5)]
    timer.ledger.close()
    times = {"claim_us": statistics.median(timer.claim_us), "settle_us": statistics.median(timer.settle_us)}
    return times | {"summary_ms": statistics.median(summaries)}


def timed_commands(turn: Turn) -> Row:
    """Time two commands of the command line. Most of it is the start of Python."""
    return {
        "status_s": _timed(lambda: _cli(turn, "status", "--json")),
        "jobs_s": _timed(lambda: _cli(turn, "jobs", "--region", "eu", "--limit", "50", "--json")),
    }


def timed_drain(turn: Turn, jobs: int, log: Callable[[str], None]) -> Row:
    """Drain the queue. Return its rate, the rates of the first and the last tenth, and the memory of processes."""
    turn.stub.reset()
    start, early = turn.settled(), 0.0
    turn.start()
    for tenth in range(1, 11):
        goal = start + jobs * tenth // 10
        turn.wait(goal, DRAIN_S / 5, pause_s=0.05)
        early = early or _largest_mb(turn)
        if jobs >= TENTHS_FROM:
            log(f"{goal - start:,} delivered")
    check(turn.stub.stats(), jobs)
    row = {"rate": _rate(turn, 0, jobs - 1), "worker_early_mb": early, "beat_mb": _beat_mb(turn)}
    row["worker_peak_mb"] = machine.used(turn.pids()["worker"]).peak_process_mb
    if jobs >= TENTHS_FROM:
        ramp = int(jobs * RAMP)
        row |= {"first": _rate(turn, ramp, ramp + jobs // 10), "last": _rate(turn, jobs - 1 - jobs // 10, jobs - 1)}
    return row


def due_at_once(turn: Turn, jobs: int, log: Callable[[str], None]) -> Row:
    """Park jobs until all are due, then start a worker and a beat."""
    turn.produce("bulk", jobs, within_s=DRAIN_S)
    timer = CallTimer(turn)
    parked = 0
    while parked < jobs:
        taken = timer.batch(Parked(1, "benchmark"))
        if not taken:
            raise Failed(f"only {parked} of {jobs} jobs could be claimed")
        parked += taken
    log(f"{jobs:,} jobs are parked and due")
    _watch_longest(turn)
    turn.stub.reset()
    turn.start()
    turn.wait(jobs, DRAIN_S, pause_s=0.05)
    check(turn.stub.stats(), jobs)
    promote = [_timed(timer.ledger.promote) * 1000 for _ in range(5)]
    timer.ledger.close()
    rate = _rate(turn, 0, jobs - 1)
    return {"jobs": jobs, "rate": rate, "longest_ms": _longest_ms(turn), "idle_promote_ms": statistics.median(promote)}


def _cli(turn: Turn, *arguments: str) -> None:
    command = [str(turn.target.bin / "gaugepost"), *arguments]
    done = subprocess.run(
        command, cwd=turn.folder, env=turn.environment, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise Failed(f"gaugepost {' '.join(arguments)}: {done.stderr.strip()[-300:]}")


def _timed(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _rate(turn: Turn, begin: int, end: int) -> float:
    first, last = turn.stub.arrivals(begin, end)
    return (end - begin) / max((last - first) / 1e9, 1e-9)


def _largest_mb(turn: Turn) -> float:
    return max(map(machine.memory_mb, machine.tree([turn.workers[0].pid])))


def _beat_mb(turn: Turn) -> float:
    return machine.used(machine.tree([turn.workers[1].pid])).peak_process_mb


def _watch_longest(turn: Turn) -> None:
    """Make Redis log every command that takes 1 ms or more."""
    turn.client.config_set("slowlog-log-slower-than", 1_000)
    turn.client.config_set("slowlog-max-len", 100_000)
    turn.client.slowlog_reset()


def _longest_ms(turn: Turn) -> float:
    """Return the duration of the longest command in ms; 0 if all took less than 1 ms."""
    noted: Any = turn.client.slowlog_get(100_000)
    return max((int(one["duration"]) for one in noted), default=0) / 1000
