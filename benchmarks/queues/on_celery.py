"""Celery as it comes, with its result backend. In bulk: kombu 5.7's batch, one pipeline for a thousand messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import Celery

from benchmarks import job
from benchmarks.queues import sending

if TYPE_CHECKING:
    from collections.abc import Iterable

app = Celery("bench", broker=job.REDIS_URL, backend=job.REDIS_URL)
app.conf.update(result_expires=job.STATUS_TTL_S, broker_connection_retry_on_startup=True)


@app.task(name="put")
def put(number: int, record: dict[str, Any]) -> dict[str, int]:
    return sending.put(number, record)


def enqueue(number: int) -> None:
    put.apply_async((number, job.payload(number)))


def enqueue_all(numbers: Iterable[int]) -> None:
    with app.producer_pool.acquire(block=True) as producer, producer.batch(job.PIPELINE):
        for number in numbers:
            put.apply_async((number, job.payload(number)), producer=producer)
