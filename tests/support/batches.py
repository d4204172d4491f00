"""Enqueue, deliver and read the jobs of batch b in a test of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaugepost.ledger import Entry
from gaugepost.together import Together
from support.factories import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost import Record
    from gaugepost.jobs import JobBase
    from gaugepost.ledger.batch_views import BatchView, Canary
    from support.ledger_harness import Bench

SCOPE = "batch:b"


def put(bench: Bench, jobs: Sequence[JobBase], canary: int | None = None, tolerance: float | None = None) -> list[str]:
    """Enqueue jobs in batch b, in one call."""
    together = Together.of("b", canary, tolerance)
    entries = [Entry.of(together.named(job), None, together.asks(job.region)) for job in jobs]
    return [accepted.id for accepted in bench.ledger.enqueue(entries)]


def records(number: int, **more: Any) -> list[Record]:
    return [record(**more) for _ in range(number)]


def batch(bench: Bench) -> BatchView:
    [found] = bench.ledger.batches.read(["b"])
    assert found is not None
    return found


def deliver_all(bench: Bench) -> int:
    """Release, claim and deliver until nothing is left; return the number of deliveries."""
    delivered = 0
    for _ in range(20):
        bench.tick()
        for claimed in bench.claim(1000):
            if claimed.job.kind != "file" or bench.ledger.mark(claimed)[0] == 1:
                delivered += bench.settle(claimed)
    return delivered


def canary_of(bench: Bench) -> Canary:
    found = batch(bench).canary
    assert found is not None
    return found
