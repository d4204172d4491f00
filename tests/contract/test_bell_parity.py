"""Compare the bell that Lua scripts push with the message that Celery itself sends."""

from __future__ import annotations

import base64
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import redis
from celery import Celery
from kombu import pools

from gaugepost import Region, Settings
from gaugepost.bell import DELIVER
from gaugepost.keys import Keys
from gaugepost.ledger import Entry, Ledger
from gaugepost.ledger.scripts import Call, Runner
from support.factories import record

if TYPE_CHECKING:
    from collections.abc import Iterator

MAY_DIFFER = {
    ("headers", "id"): "new for each message",
    ("headers", "root_id"): "the same id",
    ("properties", "correlation_id"): "the same id",
    ("properties", "delivery_tag"): "new for each message",
    ("headers", "origin"): "celery names the sending process and host; only people read it",
    ("properties", "reply_to"): "where the rpc result backend would answer; there is no result backend",
    ("headers", "argsrepr"): "only for logs; a bell has no arguments",
    ("headers", "kwargsrepr"): "only for logs; a bell has no arguments",
}
QUEUES = ["gaugepost.eu", "gaugepost.eu.urgent", "gaugepost.eu.ticks"]


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    app = Celery("parity", broker=redis_url, set_as_current=False)
    app.conf.update(task_ignore_result=True, task_create_missing_queues=True)
    with app:
        yield app
    pools.reset()  # kombu's are shared by all apps of one URL


def rung(redis_url: str, queue: str) -> dict[str, Any]:
    """Ring this queue by a script, and return the message."""
    with redis.Redis.from_url(redis_url) as client:
        if queue == "gaugepost.eu.ticks":
            Runner(client)(Call("tick", ("gaugepost:{eu}:", queue), [1, DELIVER], bool))
        else:
            Ledger(client, Region.EU, Settings()).enqueue([Entry.of(record(urgent=queue == "gaugepost.eu.urgent"))])
        found = client.rpop(queue)
    assert isinstance(found, bytes)
    return dict(json.loads(found))


def sent_by_celery(app: Celery, redis_url: str, queue: str) -> dict[str, Any]:
    """Send a message to this queue by Celery, and return it."""

    @app.task(name=DELIVER, ignore_result=True, shared=False)
    def deliver() -> None:
        """Do nothing; it is never run."""

    deliver.apply_async(queue=queue)
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen(queue) == 1
        sent = client.rpop(queue)
    assert isinstance(sent, bytes)
    return dict(json.loads(sent))


@pytest.mark.parametrize("queue", QUEUES)
def test_a_bell_has_every_field_that_celery_sends_and_no_other(app: Celery, redis_url: str, queue: str) -> None:
    theirs, ours = sent_by_celery(app, redis_url, queue), rung(redis_url, queue)
    assert ours.keys() == theirs.keys()
    for part in ("headers", "properties"):
        assert ours[part].keys() == theirs[part].keys()
        for name, value in theirs[part].items():
            if (part, name) not in MAY_DIFFER:
                assert ours[part][name] == value, f"{part}.{name}"
    for part in ("content-type", "content-encoding"):
        assert ours[part] == theirs[part]
    assert json.loads(base64.b64decode(ours["body"])) == json.loads(base64.b64decode(theirs["body"]))


def test_fields_that_differ_have_the_same_type(app: Celery, redis_url: str) -> None:
    ours, theirs = rung(redis_url, "gaugepost.eu"), sent_by_celery(app, redis_url, "eu")
    for part, name in MAY_DIFFER:
        assert type(ours[part][name]) is type(theirs[part][name]), f"{part}.{name}"
    for part, name in (("headers", "id"), ("properties", "delivery_tag")):
        assert uuid.UUID(ours[part][name]).version == uuid.UUID(theirs[part][name]).version


def test_each_bell_has_one_id_and_one_tag_of_its_own(redis_url: str) -> None:
    bells = [rung(redis_url, queue) for _ in range(50) for queue in QUEUES]
    for bell in bells:
        assert bell["headers"]["id"] == bell["headers"]["root_id"] == bell["properties"]["correlation_id"]
    ids = {bell["headers"]["id"] for bell in bells} | {bell["properties"]["delivery_tag"] for bell in bells}
    assert len(ids) == 2 * len(bells)


def test_task_name_equals_that_of_queued_messages(redis_url: str) -> None:
    assert DELIVER == "gaugepost.deliver"
    assert rung(redis_url, "gaugepost.eu")["headers"]["task"] == "gaugepost.deliver"


def test_bells_go_to_the_queues_that_the_workers_of_a_region_read() -> None:
    keys = Keys(Region.AU)
    assert (keys.queue, keys.urgent_queue, keys.tick_queue) == (
        "gaugepost.au",
        "gaugepost.au.urgent",
        "gaugepost.au.ticks",
    )


@pytest.mark.parametrize("queue", ["gaugepost.eu"])
def test_kombu_itself_reads_a_bell(app: Celery, redis_url: str, queue: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.lpush(queue, json.dumps(rung(redis_url, queue)))
    with app.connection() as connection, connection.SimpleQueue(queue) as simple:
        message = simple.get(timeout=5)
        assert message.headers["task"] == DELIVER
        assert message.payload[:2] == [[], {}]
        message.ack()
