"""taskiq on its fastest broker, a list (which does not acknowledge), with its results. In bulk: coroutines at once."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Any

from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

from benchmarks import job
from benchmarks.queues import sending

if TYPE_CHECKING:
    from collections.abc import Iterable

AT_ONCE = 50

results: RedisAsyncResultBackend[Any] = RedisAsyncResultBackend(job.REDIS_URL, result_ex_time=job.STATUS_TTL_S)
# It waits without end for a message; redis-py 8 by default only for 5 s, which would end the worker.
broker = ListQueueBroker(url=job.REDIS_URL, socket_timeout=None).with_result_backend(results)


@broker.task(task_name="put")
async def put(number: int, record: dict[str, Any]) -> dict[str, int]:
    return await sending.put_async(number, record)


async def start() -> None:
    await broker.startup()


async def enqueue(number: int) -> None:
    await put.kiq(number, job.payload(number))


async def enqueue_all(numbers: Iterable[int]) -> None:
    left = iter(numbers)
    while batch := list(islice(left, AT_ONCE)):
        await asyncio.gather(*map(enqueue, batch))
