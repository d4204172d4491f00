"""gaugepost, as a service uses it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from benchmarks import job
from gaugepost import Producer, Record, Region

if TYPE_CHECKING:
    from collections.abc import Iterable

producer = Producer()


def record(number: int) -> Record:
    return Record(region=Region.EU, **job.payload(number))


def enqueue(number: int) -> None:
    producer.enqueue(record(number))


def enqueue_all(numbers: Iterable[int]) -> None:
    deque(producer.enqueue_many(map(record, numbers)), maxlen=0)
