"""The floor of bulk enqueue: copies of one real Celery message, pushed by pipelined LPUSH.

There is no Celery, no validation and no ledger. Celery's own workers accept these messages.
"""

from __future__ import annotations

import base64
import json
import uuid
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson
import redis

from benchmarks import job
from benchmarks.queues.on_celery import put

if TYPE_CHECKING:
    from collections.abc import Iterable

client = redis.Redis.from_url(job.REDIS_URL)


def template() -> tuple[dict[str, Any], Any]:
    """Return one real message, and the part of its body that all messages share."""
    put.apply_async((0, job.payload(0)), queue="template", argsrepr="", kwargsrepr="")
    message = json.loads(client.rpop("template") or b"")
    client.delete("_kombu.binding.template")
    message["properties"]["delivery_info"] = {"exchange": "", "routing_key": "celery"}
    return message, json.loads(base64.b64decode(message["body"]))[2]


def enqueue(number: int) -> None:
    enqueue_all([number])


def enqueue_all(numbers: Iterable[int]) -> None:
    message, embed = template()
    headers, properties = message["headers"], message["properties"]

    def envelope(number: int) -> bytes:
        headers["id"] = headers["root_id"] = properties["correlation_id"] = str(uuid.uuid4())
        properties["delivery_tag"] = str(uuid.uuid4())
        message["body"] = base64.b64encode(orjson.dumps([(number, job.payload(number)), {}, embed])).decode()
        return orjson.dumps(message)

    envelopes = map(envelope, numbers)
    while batch := list(islice(envelopes, job.PIPELINE)):
        pipe = client.pipeline(transaction=False)
        for one in batch:
            pipe.lpush("celery", one)
        pipe.execute()
