"""arq, with its results. It has no way to enqueue in bulk: many coroutines at once."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Any

import arq
from arq.connections import RedisSettings

from benchmarks import job
from benchmarks.queues import sending

if TYPE_CHECKING:
    from collections.abc import Iterable

AT_ONCE = 50
pool: arq.ArqRedis


async def put(_: dict[str, Any], number: int, record: dict[str, Any]) -> dict[str, int]:
    return await sending.put_async(number, record)


class Worker:
    functions = (put,)
    redis_settings = RedisSettings.from_dsn(job.REDIS_URL)
    max_jobs = 50
    keep_result = job.STATUS_TTL_S


async def start() -> None:
    global pool  # noqa: PLW0603 - it needs a running loop
    pool = await arq.create_pool(Worker.redis_settings)


async def enqueue(number: int) -> None:
    await pool.enqueue_job("put", number, job.payload(number))


async def enqueue_all(numbers: Iterable[int]) -> None:
    left = iter(numbers)
    while batch := list(islice(left, AT_ONCE)):
        await asyncio.gather(*map(enqueue, batch))
