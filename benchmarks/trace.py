"""Measure where the time of a job in an idle worker goes: `python -m benchmarks trace`.

A worker of one process records when it reaches each step (`traced.py`). The producer records when it begins to
enqueue, the stub when the job arrives. There is one job at a time, so every stamp between these two belongs to it.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.summary import percentile
from benchmarks.targets import gaugepost

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.harness import Turn
    from benchmarks.measures import Row
    from benchmarks.targets import Target

STEPS = {
    "enqueued, and the bell has woken Celery's consumer": (
        "gaugepost_workers.celery_app.kombu_transport:Channel._brpop_read"
    ),
    "kombu has read the bell": "gaugepost_workers.celery_app.kombu_transport:Transport._deliver",
    "bell checked, given to Celery's pool": "celery.concurrency.thread:TaskPool.on_apply",
    "a thread of the pool has begun": "gaugepost_workers.dispatcher:Dispatcher.run",
    "claim asked for": "gaugepost.ledger:WorkerLedger.claim",
    "claim returned": "gaugepost.ledger:WorkerLedger.claim:end",
    "a sender has begun": "gaugepost_workers.sender_pool:SenderPool._send",
    "token found, request built": "gaugepost_tasks.http:HttpClient.exchange",
    "first byte": "gaugepost_tasks.http.connection:Connection.send",
}
"""Step, in order → `module:function` that marks it when called, or with `:end` when it returns."""
ARRIVED = "arrived at the receiver"
FILE = "reached.json"


def target() -> Target:
    """Return gaugepost with a worker of one process that records time stamps."""
    product = gaugepost(processes=1)
    worker, beat = product.worker
    return replace(product, worker=(("python", "-m", "benchmarks.traced", FILE, *worker[1:]), beat))


def measure(turn: Turn, jobs: int) -> Row:
    """Enqueue jobs one at a time. Return p50 and p99 of each step, in ms since the start of the enqueue."""
    turn.stub.reset()
    timings = turn.produce("latency", jobs)
    turn.workers[0].terminate()  # it writes its stamps at its end
    turn.workers[0].wait(30)
    reached = json.loads((turn.folder / FILE).read_text())
    spans = [
        (began, int(began + ms * 1e6)) for began, ms in zip(timings["begun_ns"], timings["latency_ms"], strict=True)
    ]
    traced = [whole for span in spans if (whole := _job(reached, *span))]
    steps = {step: sorted(one[step] for one in traced) for step in (*STEPS, ARRIVED)}
    found = {step: [round(percentile(ms, q), 3) for q in (0.5, 0.99)] for step, ms in steps.items() if ms}
    return {"jobs": jobs, "traced": len(traced), "steps": found}


def _job(reached: Mapping[str, Sequence[int]], began: int, arrived: int) -> dict[str, float] | None:
    """Return step → ms of one job; None if a step is missing, because another job's bell led to its claim."""
    found = {}
    for step in STEPS:
        stamps = reached[step]
        nth = bisect_left(stamps, began)
        if nth == len(stamps) or stamps[nth] > arrived:
            return None
        found[step] = (stamps[nth] - began) / 1e6
    return found | {ARRIVED: (arrived - began) / 1e6}


def table(row: Row) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| step | reached at ms, p50 | since the step before | p99 |"
    yield "| --- | --- | --- | --- |"
    before = 0.0
    for step, (p50, p99) in row["steps"].items():
        yield f"| {step} | {p50:.2f} | {p50 - before:.2f} | {p99:.2f} |"
        before = p50
