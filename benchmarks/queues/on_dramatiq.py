"""dramatiq on Redis, with its results. It has no way to enqueue in bulk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks import job
from benchmarks.queues import sending

if TYPE_CHECKING:
    from collections.abc import Iterable

broker = RedisBroker(url=job.REDIS_URL)
results = RedisBackend(url=job.REDIS_URL)
broker.add_middleware(Results(backend=results, store_results=True, result_ttl=job.STATUS_TTL_S * 1000))
dramatiq.set_broker(broker)


@dramatiq.actor
def put(number: int, record: dict[str, Any]) -> dict[str, int]:
    return sending.put(number, record)


def enqueue(number: int) -> None:
    put.send(number, job.payload(number))


def enqueue_all(numbers: Iterable[int]) -> None:
    for number in numbers:
        enqueue(number)
