"""huey, with results that expire. It does not acknowledge, and has no way to enqueue in bulk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from huey import RedisExpireHuey

from benchmarks import job
from benchmarks.queues import sending

if TYPE_CHECKING:
    from collections.abc import Iterable

huey = RedisExpireHuey("bench", url=job.REDIS_URL, expire_time=job.STATUS_TTL_S)


@huey.task()
def put(number: int, record: dict[str, Any]) -> dict[str, int]:
    return sending.put(number, record)


def enqueue(number: int) -> None:
    put(number, job.payload(number))


def enqueue_all(numbers: Iterable[int]) -> None:
    for number in numbers:
        enqueue(number)
