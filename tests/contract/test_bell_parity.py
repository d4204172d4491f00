"""The bell is held to what celery itself sends: the client rings without Celery, byte for byte a message of its own."""

from __future__ import annotations

import base64
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import redis
from celery import Celery
from kombu import pools

from gaugepost.bell import DELIVER, Bell
from gaugepost.keys import Keys
from gaugepost.regions import Region

if TYPE_CHECKING:
    from collections.abc import Iterator

MAY_DIFFER = {
    ("headers", "id"): "new for each message",
    ("headers", "root_id"): "the same id",
    ("properties", "correlation_id"): "the same id",
    ("properties", "delivery_tag"): "new for each message",
    ("headers", "origin"): "celery names the sending process and host; nothing reads it but a person",
    ("properties", "reply_to"): "where the rpc result backend would answer; there is no result backend",
    ("headers", "argsrepr"): "only for logs; a bell has no arguments",
    ("headers", "kwargsrepr"): "only for logs; a bell has no arguments",
}
QUEUES = ["eu", "eu.urgent", "eu.ticks"]


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    app = Celery("parity", broker=redis_url, set_as_current=False)
    app.conf.update(task_ignore_result=True, task_create_missing_queues=True)
    with app:
        yield app
    pools.reset()  # kombu's are shared by all apps of one URL


@pytest.fixture
def theirs(app: Celery, redis_url: str, queue: str) -> dict[str, Any]:
    """Read a message that celery put into the queue."""

    @app.task(name=DELIVER, ignore_result=True, shared=False)
    def deliver() -> None:
        """Do nothing; it is never run."""

    deliver.apply_async(queue=queue)
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen(queue) == 1
        sent = client.lindex(queue, 0)
    assert isinstance(sent, bytes)
    return dict(json.loads(sent))


@pytest.mark.parametrize("queue", QUEUES)
def test_a_bell_has_every_field_that_celery_sends_and_no_other(theirs: dict[str, Any], queue: str) -> None:
    ours = json.loads(Bell(queue)())
    assert ours.keys() == theirs.keys()
    for part in ("headers", "properties"):
        assert ours[part].keys() == theirs[part].keys()
        for name, value in theirs[part].items():
            if (part, name) not in MAY_DIFFER:
                assert ours[part][name] == value, f"{part}.{name}"
    for part in ("content-type", "content-encoding"):
        assert ours[part] == theirs[part]
    assert json.loads(base64.b64decode(ours["body"])) == json.loads(base64.b64decode(theirs["body"]))


@pytest.mark.parametrize("queue", ["eu"])
def test_what_may_differ_has_the_same_type(theirs: dict[str, Any], queue: str) -> None:
    ours = json.loads(Bell(queue)())
    for part, name in MAY_DIFFER:
        assert type(ours[part][name]) is type(theirs[part][name]), f"{part}.{name}"
    assert uuid.UUID(ours["headers"]["id"]).version == uuid.UUID(theirs["headers"]["id"]).version
    assert (
        uuid.UUID(ours["properties"]["delivery_tag"]).version == uuid.UUID(theirs["properties"]["delivery_tag"]).version
    )


def test_each_bell_has_one_id_and_one_tag_of_its_own() -> None:
    ring = Bell("eu")
    bells = [json.loads(ring()) for _ in range(100)]
    for bell in bells:
        assert bell["headers"]["id"] == bell["headers"]["root_id"] == bell["properties"]["correlation_id"]
        assert bell["properties"]["delivery_tag"] != bell["headers"]["id"]
    assert len({bell["headers"]["id"] for bell in bells}) == 100
    assert len({bell["properties"]["delivery_tag"] for bell in bells}) == 100


def test_the_task_has_the_name_that_messages_under_way_have() -> None:
    assert DELIVER == "gaugepost.deliver"
    assert json.loads(Bell("eu.ticks", "gaugepost.promote")())["headers"]["task"] == "gaugepost.promote"


def test_bells_go_to_the_queues_that_the_workers_of_a_region_read() -> None:
    keys = Keys(Region.AU)
    assert (keys.queue, keys.urgent_queue, keys.tick_queue) == ("au", "au.urgent", "au.ticks")


@pytest.mark.parametrize("queue", ["eu"])
def test_kombu_itself_reads_a_bell(app: Celery, redis_url: str, queue: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.lpush(queue, Bell(queue)())
    with app.connection() as connection, connection.SimpleQueue(queue) as simple:
        message = simple.get(timeout=5)
        assert message.headers["task"] == DELIVER
        assert message.payload[:2] == [[], {}]
        message.ack()
