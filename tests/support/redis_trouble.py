"""Calls of tests that break Redis under real workers."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from gaugepost import Producer, Record, Region
from gaugepost.errors import StoreError
from support.wait import wait_until

if TYPE_CHECKING:
    from support.stack import Stack

SHORT = {"connect_timeout": 1, "read_timeout": 2, "lease": 4}
"""Settings with which a worker notices trouble soon."""


def record(i: int) -> Record:
    return Record(region=Region.EU, configuration="multi-object", record={"Email": f"person{i}@example.net"})


def enqueue(producer: Producer, first: int, last: int) -> list[str]:
    return [receipt.id for receipt in producer.enqueue_many(record(i) for i in range(first, last))]


def all_delivered_once(stack: Stack, ids: list[str]) -> None:
    wait_until(lambda: stack.counts().get("delivered") == len(ids), what=stack.undelivered)
    assert stack.keys() == dict.fromkeys(ids, 1)


def enqueue_until_accepted(producer: Producer, i: int) -> str:
    while True:
        with contextlib.suppress(StoreError):
            return producer.enqueue(record(i), idempotency_key=f"key-{i}").id
