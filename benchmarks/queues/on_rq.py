"""rq, with its results; in bulk a thousand a call."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import redis
from rq import Queue

from benchmarks import job
from benchmarks.queues import sending

if TYPE_CHECKING:
    from collections.abc import Iterable

queue = Queue("bench", connection=redis.Redis.from_url(job.REDIS_URL))
TASK = "benchmarks.queues.on_rq.put"


def put(number: int, record: dict[str, Any]) -> dict[str, int]:
    return sending.put(number, record)


def enqueue(number: int) -> None:
    queue.enqueue(TASK, number, job.payload(number), result_ttl=job.STATUS_TTL_S)


def enqueue_all(numbers: Iterable[int]) -> None:
    left = iter(numbers)
    while batch := list(islice(left, job.PIPELINE)):
        queue.enqueue_many(
            [Queue.prepare_data(TASK, args=(n, job.payload(n)), result_ttl=job.STATUS_TTL_S) for n in batch]
        )
